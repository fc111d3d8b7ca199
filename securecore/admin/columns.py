"""The cells of lists: instants, thumbprints and links, short enough for a window of 1280 pixels."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.html import format_html

from securecore.http.actor import nginx_serial
from securecore.texts import shown
from securecore.thumbprints import thumbprint_in

#: Characters of a thumbprint, enough to tell the certificates of a user apart. The title has the whole.
_BEGINNING = 10


def instant(value: dt.datetime | None, *, seconds: bool = False) -> Any:
    """Return an instant in the time zone of the project, to the minute, or to the second for the order of acts."""
    if value is None:
        return None
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    text = f"{local:%Y-%m-%d %H:%M:%S}" if seconds else f"{local:%Y-%m-%d %H:%M}"
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), text)


def begins(value: dt.datetime) -> Any:
    """Return the first instant of a grant that does not count yet."""
    return format_html("from {}", instant(value))


def left(until: dt.datetime, now: dt.datetime) -> str:
    """Return the time from ``now`` until an instant in the largest unit that says enough: ``in 12 days``."""
    seconds = (until - now).total_seconds()
    number, unit = next(((size, name) for size, name in _UNITS if abs(seconds) >= 2 * size), _UNITS[-1])
    counted = f"{int(abs(seconds) // number)} {unit}"
    return f"in {counted}" if seconds >= 0 else f"{counted} ago"


_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"), (1, "seconds"))


def short(thumbprint: str | None) -> Any:
    """Return the beginning of a thumbprint, with the whole as its title."""
    if not thumbprint:
        return None
    return format_html('<code title="{}">{}…</code>', thumbprint, thumbprint[:_BEGINNING])


def serial(digits: str) -> Any:
    """Return a serial number as nginx and the command of an incident print it, or None."""
    return format_html('<code class="securecore-serial">{}</code>', nginx_serial(digits)) if digits else None


def titled(text: str, title: str) -> Any:
    """Return a cell that shortens a text, with the whole as its title."""
    return format_html('<span title="{}">{}</span>', shown(title), shown(text))


def row_link(site: Any, row: Any, text: str) -> Any:
    """Return a link to the page of a row; the text alone where the site has no such page."""
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    try:
        url = reverse(name, args=[row.pk], current_app=site.name)
    except NoReverseMatch:
        return shown(text)
    return format_html('<a href="{}">{}</a>', url, shown(text))


def two_lines(first: Any, second: Any) -> Any:
    """Return a cell of two lines, the second in small letters."""
    return format_html('{}<div class="securecore-second">{}</div>', _text(first), _text(second))


def principal(of: str, names: dict[str, str]) -> Any:
    """Return the cell of a principal or other subject: its name above it, or the beginning of a thumbprint."""
    kind, _, rest = of.partition(":")
    if kind == "certificate" and thumbprint_in(rest) is not None:
        return two_lines(short(rest), kind)
    return two_lines(names[of], of) if of in names else (shown(of) or None)


def user_of(row: Any) -> Any:
    """Return the name of the row's user; the user model decides which of its fields that is."""
    return shown(row.user.get_username()) if row.user is not None else None


def links(site: Any, text: str, *models: str) -> Any:
    """Return links to the lists of these models, searched for ``text``."""
    named = [(model, _list_of(site, model)) for model in models]
    cells = [format_html('<a href="{}?{}">{}</a>', url, urlencode({"q": text}), name) for name, url in named if url]
    return format_html(" · ".join(["{}"] * len(cells)), *cells) if cells else None


#: The name of a link, and the model of its list.
_MODELS = {
    "sessions": "session",
    "authorizations": "refreshfamily",
    "certificates": "certificate",
    "grants": "grant",
    "lockouts": "lockout",
    "audit": "auditrow",
}


def _list_of(site: Any, name: str) -> str:
    try:
        return reverse(f"admin:securecore_{_MODELS[name]}_changelist", current_app=site.name)
    except NoReverseMatch:  # a project may register some of the pages only
        return ""


def _text(value: Any) -> Any:
    return "-" if value in (None, "") else shown(value) if type(value) is str else value


def hexadecimal(thumbprint: str) -> str:
    """Return a thumbprint as ``openssl x509 -fingerprint -sha256`` prints it, to compare it by eye."""
    try:
        return base64.urlsafe_b64decode(f"{thumbprint}=").hex(":").upper()
    except ValueError:  # a row that SQL inserted
        return "-"

"""JSON in and out. An amount is a whole JSON number of cents; every other type is an error."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from demo_project.payments.models import Account, Payout, Transfer

#: Ten billion (in cents): far above every balance of the demo, far below the limit of the column.
LARGEST_AMOUNT = 10**12


class CentsField(serializers.IntegerField):
    """A JSON number without a fraction, such as ``100`` or ``100.0``: to JSON Schema both are the same integer.

    ``"100"`` and ``true`` are errors, not amounts.
    """

    def to_internal_value(self, data: Any) -> int:
        if type(data) is float and data.is_integer():
            data = int(data)
        if type(data) is not int:
            self.fail("invalid")
        return int(super().to_internal_value(data))


class TextField(serializers.RegexField):
    """A JSON string as it is. ``CharField`` would make text of a number and strip spaces, which no pattern describes.

    ``allow_blank`` adds the empty string to the strings that match ``pattern``.
    """

    pattern = r"^[^\x00]+\Z"

    def __init__(self, **options: Any) -> None:
        super().__init__(self.pattern, trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class LineField(TextField):
    """One line without control characters that begins with no space."""

    pattern = r"^[^\x00-\x20\x7f-\xa0][^\x00-\x1f\x7f-\x9f]*\Z"


class TransferOrderSerializer(serializers.Serializer[Any]):
    to = LineField(max_length=150, help_text="The payee's username.")
    amount = CentsField(min_value=1, max_value=LARGEST_AMOUNT, help_text="Cents.")
    memo = TextField(max_length=140, allow_blank=True, default="")


class PayoutOrderSerializer(serializers.Serializer[Any]):
    to = LineField(max_length=140, help_text="Where the money goes, as the payer names it.")
    amount = CentsField(min_value=1, max_value=LARGEST_AMOUNT, help_text="Cents.")


class VoucherSerializer(serializers.Serializer[Any]):
    code = LineField(max_length=100, help_text="It pays once.")


class TransferFilterSerializer(serializers.Serializer[Any]):
    memo = TextField(max_length=140, allow_blank=True, required=False, help_text="Exactly this one.")


class PayoutFilterSerializer(serializers.Serializer[Any]):
    to = LineField(max_length=140, allow_blank=True, required=False, help_text="Exactly this one.")


class TransferSerializer(serializers.ModelSerializer[Transfer]):
    payer = serializers.CharField(source="payer.owner.username")
    to = serializers.CharField(source="payee.owner.username")

    class Meta:
        model = Transfer
        fields = ("id", "payer", "to", "amount", "memo", "created_at")


class PayoutSerializer(serializers.ModelSerializer[Payout]):
    payer = serializers.CharField(source="payer.owner.username")

    class Meta:
        model = Payout
        fields = ("id", "payer", "to", "amount", "created_at")


class AccountSerializer(serializers.ModelSerializer[Account]):
    owner = serializers.CharField(source="owner.username")

    class Meta:
        model = Account
        fields = ("owner", "balance")


class GrantSerializer(serializers.Serializer[Any]):
    principal = LineField(max_length=150, help_text="A username.")
    permission = serializers.RegexField(r"\A[a-z][a-z0-9_.:-]{0,99}\Z", help_text="For example transfers.create.")


# The responses of the views, for the OpenAPI document.


class AccountsSerializer(serializers.Serializer[Any]):
    results = AccountSerializer(many=True)


class TransfersSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    results = TransferSerializer(many=True)


class PayoutsSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    results = PayoutSerializer(many=True)


class CertificateSerializer(serializers.Serializer[Any]):
    thumbprint = serializers.CharField(help_text="SHA-256 of the certificate in base64url: x5t#S256.")
    subject = serializers.CharField()
    issuer = serializers.CharField()
    serial_number = serializers.CharField()
    sans = serializers.ListField(child=serializers.CharField())
    not_before = serializers.DateTimeField()
    not_after = serializers.DateTimeField()
    key_thumbprint = serializers.CharField(help_text="SHA-256 of the public key, which a renewed certificate may keep.")
    public_key = serializers.CharField(help_text="SubjectPublicKeyInfo, DER in base64.")


class WhoamiSerializer(serializers.Serializer[Any]):
    user = serializers.CharField()
    certificate = CertificateSerializer(allow_null=True)
    session = serializers.BooleanField()
    token = serializers.CharField(allow_null=True, help_text="The token's jti.")


class TotalSerializer(serializers.Serializer[Any]):
    count = serializers.IntegerField()
    cents = serializers.IntegerField()


class ReportSerializer(serializers.Serializer[Any]):
    accounts = TotalSerializer()
    transfers = TotalSerializer()
    payouts = TotalSerializer()


class GrantedSerializer(GrantSerializer):
    granted = serializers.BooleanField()


class MemorySerializer(serializers.Serializer[Any]):
    held = serializers.IntegerField(help_text="Parsed certificates this process holds.")
    limit = serializers.IntegerField(allow_null=True)
    rss_bytes = serializers.IntegerField()
    process = serializers.IntegerField()

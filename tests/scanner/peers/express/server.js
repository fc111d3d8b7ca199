// Express with jsonwebtoken, as tutorials write it: registration, login, and notes of each user. PEER_FORM=weak keeps the
// secret of jsonwebtoken's README, and leaves out what tutorials leave out. PEER_FORM=mended mends every fault.
"use strict";

const { randomBytes, randomUUID } = require("node:crypto");
const { readFileSync } = require("node:fs");
const path = require("node:path");
const express = require("express");
const jwt = require("jsonwebtoken");

const WEAK = process.env.PEER_FORM === "weak";
const SECRET = WEAK ? "shhhhh" : randomBytes(48).toString("base64url");
const NAMED = { audience: "notes", issuer: "notes" };

const users = new Map();
const notes = new Map();
const revoked = new Set();
const stored = new Map();
const app = express();
app.use(express.json());

// The document is a YAML file beside the service. Lines for the mended form end with a mark.
const lines = readFileSync(path.join(__dirname, "openapi.yaml"), "utf8").split("\n");
const text = lines.filter((line) => !WEAK || !line.endsWith("# mended")).join("\n");
app.get("/openapi.yaml", (request, response) => response.type("text/yaml").send(text));

app.post("/auth/register", (request, response) => {
  const { username, password, email } = request.body ?? {};
  if (!username || !password) return response.status(400).json({ message: "username and password are needed" });
  if (users.has(username)) return response.status(409).json({ message: "this user exists" });
  users.set(username, WEAK ? { role: "user", ...request.body } : { username, password, email, role: "user" });
  response.status(201).json({ username });
});

app.post("/auth/login", (request, response) => {
  const user = users.get(request.body?.username);
  if (!user || user.password !== request.body.password) return response.status(401).json({ message: "wrong password" });
  const options = { ...NAMED, algorithm: "HS256", expiresIn: 300, jwtid: randomUUID(), header: { typ: "at+jwt" } };
  response.json({ token: jwt.sign({ sub: user.username }, SECRET, WEAK ? {} : options) });
});

function authenticate(request, response, next) {
  const [scheme, sent] = (request.headers.authorization ?? "").split(" ");
  const token = scheme === "Bearer" ? sent : WEAK ? request.query.token : undefined;
  try {
    const { header, payload } = jwt.verify(token, SECRET, { complete: true, ...(WEAK ? {} : { ...NAMED, algorithms: ["HS256"] }) });
    if (!WEAK && (header.typ !== "at+jwt" || revoked.has(payload.jti))) throw new Error("refused");
    request.claims = payload;
    request.user = users.get(payload.sub);
    if (!request.user) throw new Error("unknown user");
  } catch {
    return response.status(401).json({ message: "log in" });
  }
  next();
}

// The weak form leaves the token to the client, which "deletes" it.
app.post("/auth/logout", authenticate, (request, response) => {
  if (!WEAK) revoked.add(request.claims.jti);
  response.status(204).end();
});

app.get("/me", authenticate, (request, response) => {
  const { password, ...shown } = request.user;
  response.json(shown);
});

app.get("/admin/users", authenticate, (request, response) => {
  if (!WEAK && request.user.role !== "admin") return response.status(403).json({ message: "for administrators" });
  response.json([...users.values()].map(({ username, email, role }) => ({ username, email, role })));
});

function create(user, body) {
  const id = randomUUID();
  const given = WEAK ? body : { title: body.title, text: body.text };
  notes.set(id, { id, owner: user.username, ...given });
  return notes.get(id);
}

app.post("/notes", authenticate, (request, response) => {
  const key = request.get("Idempotency-Key");
  if (WEAK) return response.status(201).json(create(request.user, request.body));
  if (!key) return response.status(400).json({ message: "Idempotency-Key is needed" });
  const scope = `${request.user.username} ${key}`;
  const content = JSON.stringify(request.body);
  // One turn of the event loop: no other request comes between the look and the claim.
  if (!stored.has(scope)) stored.set(scope, { content, note: create(request.user, request.body) });
  const known = stored.get(scope);
  if (known.content !== content) return response.status(422).json({ message: "the key was used for another body" });
  response.status(201).json(known.note);
});

app.get("/notes", authenticate, (request, response) => {
  response.json([...notes.values()].filter((note) => note.owner === request.user.username));
});

function find(request, response, next) {
  request.note = notes.get(request.params.id);
  const foreign = request.note && request.note.owner !== request.user.username;
  if (!request.note || (foreign && !WEAK)) return response.status(404).json({ message: "no such note" });
  next();
}

app.get("/notes/:id", authenticate, find, (request, response) => response.json(request.note));
app.patch("/notes/:id", authenticate, find, (request, response) => {
  const { title, text: content } = request.body;
  Object.assign(request.note, { title: title ?? request.note.title, text: content ?? request.note.text });
  response.json(request.note);
});
app.delete("/notes/:id", authenticate, find, (request, response) => {
  notes.delete(request.note.id);
  response.status(204).end();
});

app.listen(Number(process.env.PORT), "127.0.0.1");

"""Sessions of requests: login and logout, the binding to the certificate, ids in places where none belongs."""

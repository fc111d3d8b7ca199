"""A small payments service: accounts, transfers between them, payouts out of them.

models       what is true of money
ledger       the only code that moves it
statements   what there is to read
serializers  JSON in and out
memory       how much a process holds
page         for people
views, urls  the API, with securecore in front of every effect

The unprotected twin in demo_project.vulnerable uses all of it but the last line: the same money behind another door.
"""

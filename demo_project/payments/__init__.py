"""A small payments service: accounts, transfers between them, payouts to the outside.

models       the tables, and their constraints
ledger       the only code that moves money
statements   the lists and sums that clients read
serializers  JSON in and out
memory       the memory that a process uses
page         the HTML page
views, urls  the API, with securecore in front of every effect

The twin in demo_project.vulnerable uses the same modules, except views and urls: the same money without protection.
"""

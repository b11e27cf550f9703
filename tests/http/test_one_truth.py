"""A handler reads its request by the models of its contract, which the OpenAPI document is made from."""

import ast
from pathlib import Path

from kanal.http.routes import ROUTES

HANDLERS = Path(__file__).parents[2] / "http" / "api"


def test_no_handler_reads_a_request_past_its_contract() -> None:
    past = {
        f"{file.name}:{node.lineno}"
        for file in HANDLERS.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] in {"section", "read_query", "read_body"}
    }
    assert not past


def test_no_two_routes_are_the_same_call() -> None:
    calls = [(route.method, route.path) for route in ROUTES]
    assert len(calls) == len(set(calls))

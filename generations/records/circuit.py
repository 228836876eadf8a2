"""The row of the circuit, which all processes share. The lock of the line is held by whoever changes it."""

from __future__ import annotations

from generations.circuit import Circuit, load_circuit
from store.key_values import load_value, save_value, value_of
from store.transactions import Transaction

CIRCUIT_KEY = "circuit:v1"
stored_circuit = value_of(CIRCUIT_KEY)  # its text, as a part of other statements: for generations.circuit.load_circuit


def read_circuit(tx: Transaction) -> Circuit:
    """Return the circuit as it is committed now."""
    return load_circuit(load_value(tx, CIRCUIT_KEY))


def save_circuit(tx: Transaction, circuit: Circuit) -> None:
    """Store *circuit*. The caller has locked the line before any row: see records.lock_line."""
    save_value(tx, CIRCUIT_KEY, circuit.dump())

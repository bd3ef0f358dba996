"""A question to an instance's engine, or a small change in it, whose answer somebody waits for."""

import json
from dataclasses import dataclass
from typing import Any

from dbaas.catalog import operations
from dbaas.contract import codec
from dbaas.contract.interfaces import GUEST_VERBS
from dbaas.contract.operations import Operation
from dbaas.contract.requests import AskGuest
from dbaas.taskmanager.flow import Flow, Step, Unreachable
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Question:
    instance_id: str
    verb: str
    order: Any


def begin(op: Operation, request: AskGuest) -> Question:
    return Question(op.instance_id, request.verb, request.order)


def ask(op: Question, tools: Toolbox) -> None:
    services: Services = tools.services
    verb = GUEST_VERBS[op.verb]
    order = codec.load_any(verb.takes, op.order, services.sealer.show, op.verb)
    answer = tools.call(op.instance_id, op.verb, order)
    document = json.dumps(codec.dump(answer, services.sealer.hide))
    tools.write(lambda unit: operations.keep_answer(unit, tools.operation_id, document))


ASK_GUEST = Flow(
    "ask_guest",
    AskGuest,
    Question,
    begin,
    (Step(ask),),  # a guest has its verb's time; the broker may be away for longer
    unreachable=Unreachable.GO_ON,  # it changes nothing that others rely on
    moves_instance=False,
)

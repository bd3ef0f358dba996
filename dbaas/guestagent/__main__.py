"""`python3 -m dbaas.guestagent`: how a guest starts its agent."""

import gc


def start() -> None:
    """Be the agent. Nothing that is imported goes away: to look for that would take a tenth of the
    CPU time that a guest's start takes."""
    gc.disable()
    from dbaas.guestagent.service import main

    gc.freeze()
    gc.enable()
    main()


if __name__ == "__main__":
    start()

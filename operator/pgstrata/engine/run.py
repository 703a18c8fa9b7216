"""Carries a plan out: step by step, interruptible, behind the fence.

Called by the rooms' reconcile with an exclusive session. Each step goes probe, execute, verify,
record; between two of any of these the process may die, and the next run goes on from the catalog
and the journal. What a step raises passes through; the driver turns it into an outcome.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from pgstrata.core.api_status import WorkState
from pgstrata.core.errors import ConnectionFailed, Interrupted, PgstrataError
from pgstrata.core.reasons import Situation
from pgstrata.engine.context import Context
from pgstrata.engine.exclusive import Exclusive
from pgstrata.engine.failpoints import failpoint
from pgstrata.engine.gates import Gates
from pgstrata.engine.plan import Outline, Plan, Step, plan_status
from pgstrata.engine.progress import Progress

CANCEL_SECONDS = 1.5
"""How long a cancelled statement may take to end before its session is dropped."""


Between = Callable[[Outline, Outline], Awaitable[None]]
"""Told of the step that is done, and of the one that comes next."""


async def run(plan: Plan, work: Exclusive, ctx: Context, gates: Gates, *, between: Between) -> None:
    """Run the plan's steps in order, as far as the gates let them.

    Raises Interrupted at a boundary when the run is to stop, NotNow at a gate, and whatever a step
    raises.
    """
    async with ctx.report.telling():
        await _step_by_step(plan, work, ctx, gates, between)


async def _step_by_step(
    plan: Plan, work: Exclusive, ctx: Context, gates: Gates, between: Between
) -> None:
    progress = Progress(ctx.report, ctx.interrupt, closes=await gates.closes(work.session))
    total = len(plan.steps)
    for number, step in enumerate(plan.steps):
        progress.check()
        rest = partial(plan_status, plan, done=number, approved=gates.approved)
        outline = step.outline
        if number:
            await between(plan.steps[number - 1].outline, outline)
        ctx.report.know_when_written(plan=rest)
        await gates.admit(outline, work.session)
        ctx.report.know_when_written(plan=partial(rest, first=WorkState.RUNNING))
        progress.begin(outline.id, number, total)
        text = f"step {number + 1} of {total}: {outline.title}"
        if number or not ctx.report.has_failed:
            await progress.say(outline.reason, text)
        else:  # what failed or waited for a lock at the last look most likely does so again
            progress.hold(outline.reason, text)
        failpoint("step.before")
        try:
            await _guarded(step, work, ctx, progress)
        except PgstrataError as error:
            after = plan_status(
                plan, done=number, first=_state_after(error), approved=gates.approved
            )
            ctx.report.know(plan=after)
            raise
        failpoint("step.after")


def _state_after(error: PgstrataError) -> WorkState:
    """What has failed needs a person; what was stopped or is tried again only has not run yet."""
    stalled = error.reason.situation is Situation.STALLED
    return WorkState.FAILED if stalled else WorkState.PENDING


async def _guarded(step: Step, work: Exclusive, ctx: Context, progress: Progress) -> None:
    """Run one step; cancel it when it must stop now or when this run was taken over."""
    task = asyncio.create_task(_through(step, work, progress))
    hard = asyncio.create_task(ctx.interrupt.wait_hard())
    lost = asyncio.create_task(work.lost.wait())
    try:
        await asyncio.wait({task, hard, lost}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
    finally:
        hard.cancel()
        lost.cancel()
        if not task.done():
            await _cancel(task)
    if work.lost.is_set():
        raise ConnectionFailed("the monitor of this run is lost: it stops and will be looked at")
    raise Interrupted(f"stopped because {ctx.interrupt.cause}")


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel the statement that runs; what it raises on the way out is of no use any more."""
    task.cancel()
    with suppress(asyncio.CancelledError, TimeoutError, PgstrataError):
        async with asyncio.timeout(CANCEL_SECONDS):
            await task


async def _through(step: Step, work: Exclusive, progress: Progress) -> None:
    if not await step.probe(work):
        failpoint("step.probed")
        await step.execute(work, progress)
        failpoint("step.executed")
    await step.verify(work)
    failpoint("step.verified")
    await step.record(work)

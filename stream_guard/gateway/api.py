"""The HTTP API: events in, answers out. `docs/gateway.md` has it with examples.

The contract of `GET /v1/check` is *fail open*: it answers from memory; no decision, an unknown account and a service
that is not ready are all "allow"; a caller gives it a timeout of some 50 ms and takes every error for "allow".
"""

import asyncio
import hmac
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

from stream_guard import __version__
from stream_guard.codecs import decode, encode
from stream_guard.errors import InvalidCursor, InvalidEvent, Overloaded, TransportError
from stream_guard.events import AccountView, CampaignView, Feedback, RequestEvent, Shape
from stream_guard.formats import FORMATS, Reader
from stream_guard.gateway import intake
from stream_guard.gateway.backend import Backend, Intake
from stream_guard.gateway.examples import EXAMPLES
from stream_guard.gateway.measure import Measured
from stream_guard.gateway.replies import (
    Accepted,
    CampaignPage,
    CampaignSummary,
    Check,
    DecisionPage,
    Problem,
    Readiness,
    Refused,
    Word,
    schemas,
)
from stream_guard.gateway.settings import ApiSettings
from stream_guard.gateway.stream import DecisionStream
from stream_guard.metrics import CONTENT_TYPE, Metrics

PAGE_MAX = 1000
ACCOUNTS_MAX = 100_000
WORD_BYTES_MAX = 64 * 1024

ACTION_HEADER, LIMIT_HEADER = "x-stream-guard-action", "x-stream-guard-limit-rpm"
"""The answer to a check again, for proxies that read headers and no JSON."""

_LINES = {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}

AccountId = Annotated[str, Query(min_length=1, max_length=256)]
Format = Literal["litellm", "otel"]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX)]
Cursor = Annotated[str | None, Query(max_length=100, description="`cursor` of the page before")]


def create_app(backend: Backend, settings: ApiSettings | None = None, metrics: Metrics | None = None) -> FastAPI:
    """Make the API.

    Parameters
    ----------
    backend
        What answers.
    settings
        Limits and the token.
    metrics
        What `/metrics` shows, and where answers are counted; without it there is no such page.

    Returns
    -------
    An ASGI application. Setting the event `app.state.closing` ends its streams.
    """
    settings = settings or ApiSettings()
    app = FastAPI(title="stream_guard", version=__version__, docs_url=None, redoc_url=None, description=_ABOUT)
    app.state.closing = asyncio.Event()
    app.state.backend = backend
    app.state.settings = settings
    app.state.uploads = 0
    app.state.readers = set()
    app.include_router(_status)
    app.include_router(_v1, dependencies=[Depends(_bearer(settings.token))] if settings.token else [])
    if metrics:
        app.add_middleware(Measured, metrics=metrics)

        async def page() -> Response:  # in the loop's thread, as what it reads belongs to the loop
            return Response(metrics.render(), media_type=CONTENT_TYPE)

        app.add_api_route("/metrics", page, include_in_schema=False)
    for error, handler in _HANDLERS.items():
        app.add_exception_handler(error, handler)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


_ABOUT = "Events in, decisions out. `GET /v1/check` is fail-open: give it a timeout, take every error for allow."


def _reply(value: msgspec.Struct, status: int = HTTPStatus.OK) -> Response:
    return Response(encode(value), status, media_type="application/json")


def _answers(kind: type[msgspec.Struct], *problems: HTTPStatus, status: HTTPStatus = HTTPStatus.OK) -> dict[Any, Any]:
    """Return what the OpenAPI document says about the answers of a route."""
    kinds: dict[HTTPStatus, type[msgspec.Struct]] = dict.fromkeys(
        (*problems, HTTPStatus.UNAUTHORIZED, HTTPStatus.INTERNAL_SERVER_ERROR), Problem
    )
    return {
        int(code): {"description": code.phrase, "content": {"application/json": _example(answer)}}
        for code, answer in ({status: kind} | kinds).items()
    }


def _example(kind: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "schema": {"$ref": f"#/components/schemas/{kind.__name__}"},
        "example": msgspec.to_builtins(EXAMPLES[kind]),
    }


# --- Is it there? ---------------------------------------------------------------------------------------------------

_status = APIRouter()


@_status.get(
    "/healthz",
    summary="The process runs",
    responses={200: {"description": "It runs", "content": {"application/json": {"schema": {"type": "object"}}}}},
)
async def healthz() -> Response:
    """Answer while the process lives; says nothing about the parts behind it."""
    return Response(b'{"status":"ok"}', media_type="application/json")


@_status.get(
    "/readyz",
    summary="Every component is ready",
    responses={
        200: {"description": "Ready", "content": {"application/json": _example(Readiness)}},
        503: {"description": "Not ready", "content": {"application/json": _example(Readiness)}},
    },
)
async def readyz(request: Request) -> Response:
    """Name the components: "ok", or why not. Decisions in force are not certain before all are."""
    components = dict(request.app.state.backend.readiness())
    ready = all(word == "ok" for word in components.values())
    return _reply(
        Readiness(ready=ready, components=components), HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    )


# --- What gateways ask ----------------------------------------------------------------------------------------------

_v1 = APIRouter(prefix="/v1")


@_v1.get("/check", summary="What to do with the next request of an account", responses=_answers(Check))
async def check(request: Request, account_id: AccountId) -> Response:
    """Answer from memory; "allow" if nothing is known. Take an error or a timeout for "allow" too."""
    answer = Check.of(request.app.state.backend.check(account_id))
    request.state.action = answer.action  # counted by `measure.Measured`
    reply = _reply(answer)
    reply.headers[ACTION_HEADER] = answer.action
    if answer.limit_rpm is not None and not answer.shadow:
        reply.headers[LIMIT_HEADER] = f"{answer.limit_rpm:g}"
    return reply


@_v1.post(
    "/events",
    summary="Events in",
    status_code=HTTPStatus.ACCEPTED,
    responses=_answers(
        Accepted,
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
        status=HTTPStatus.ACCEPTED,
    ),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/x-ndjson": _example(RequestEvent),
                "application/json": {
                    "schema": {"type": "array", "items": {"$ref": "#/components/schemas/RequestEvent"}},
                    "example": [msgspec.to_builtins(EXAMPLES[RequestEvent])],
                },
            },
        }
    },
)
async def events(request: Request, format: Format | None = None) -> Response:  # noqa: A002 - the parameter's name
    """Take events, one JSON object a line or an array of them; gzip is understood.

    The answer comes once the accepted events are durable: they are not lost then. What was refused is listed with its
    place and reason, and kept as a dead letter. An answer other than 202 means that nothing was taken. `format` is for
    what other programs log: LiteLLM's standard logging payload, OTLP spans as JSON.
    """
    taker = _intake(request)
    state = request.app.state
    if state.uploads >= state.settings.uploads_max:
        raise Overloaded("as many requests with events are being read as there may be")
    state.uploads += 1
    try:
        received = await _received(request, state.settings, FORMATS[format] if format else None)
        await taker.accept(received.payloads, received.refused)
    finally:
        state.uploads -= 1
    refused = tuple(Refused(letter.offset or 0, letter.reason) for letter in received.refused)
    return _reply(Accepted(len(received.payloads), refused), HTTPStatus.ACCEPTED)


def _intake(request: Request) -> Intake:
    taker: Intake | None = request.app.state.backend.intake
    if taker is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "nothing is taken over HTTP here")
    return taker


async def _received(request: Request, settings: ApiSettings, reader: Reader | None) -> intake.Received:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _LINES and kind != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send application/x-ndjson or application/json")
    body = intake.limited(request.stream(), settings.body_bytes_max)
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "gzip":
        body = intake.limited(intake.gunzipped(body), settings.unpacked_bytes_max)
    elif encoding != "identity":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the only content-encoding is gzip")
    received = intake.Received(settings.events_max, reader)
    try:
        async with asyncio.timeout(settings.body_s_max):
            await (intake.read_lines if kind in _LINES else intake.read_document)(body, received)
    except TimeoutError:
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, f"the body took over {settings.body_s_max:g} s") from None
    if not received.payloads and not received.refused and reader is None:
        raise intake.UnreadableBody("there is no event in the body")
    return received


# --- What people ask ------------------------------------------------------------------------------------------------


@_v1.get(
    "/accounts/{account_id:path}",
    summary="One account: risk, signals, decision, campaigns",
    responses=_answers(AccountView, HTTPStatus.NOT_FOUND),
)
async def account(request: Request, account_id: str) -> Response:
    """Say what is known of an account, each signal beside its usual value."""
    view = request.app.state.backend.account(account_id)
    if view is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"no account {account_id!r} was seen here")
    return _reply(view)


@_v1.get("/campaigns", summary="Campaigns, newest change first", responses=_answers(CampaignPage))
async def campaigns(
    request: Request,
    *,
    limit: Limit = 50,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    shape: Shape | None = None,
    risk_min: Annotated[float, Query(ge=0, le=1)] = 0.0,
    since: Annotated[float, Query(ge=0, description="changed at this time or later, seconds since 1970")] = 0.0,
    account_id: Annotated[str | None, Query(max_length=256, description="that this account is in")] = None,
) -> Response:
    """List campaigns in short."""
    views = [
        view
        for view in request.app.state.backend.campaigns()
        if shape in (None, view.campaign.shape)
        and view.campaign.risk >= risk_min
        and view.campaign.ts >= since
        and (account_id is None or account_id in view.accounts)
    ]
    page = views[offset : offset + limit]
    following = offset + limit if offset + limit < len(views) else None
    return _reply(CampaignPage(tuple(map(CampaignSummary.of, page)), len(views), following))


@_v1.get(
    "/campaigns/{campaign_id}",
    summary="One campaign with its accounts and evidence",
    responses=_answers(CampaignView, HTTPStatus.NOT_FOUND),
)
async def campaign(
    request: Request,
    campaign_id: str,
    accounts_max: Annotated[int, Query(ge=0, le=ACCOUNTS_MAX, description="how many accounts to name")] = PAGE_MAX,
) -> Response:
    """Say who is in a campaign, what joins them, and how it grew. `campaign.size` counts all of its accounts."""
    view = request.app.state.backend.campaign(campaign_id)
    if view is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"no campaign {campaign_id!r} is held here")
    return _reply(msgspec.structs.replace(view, accounts=view.accounts[:accounts_max]))


@_v1.get(
    "/decisions",
    summary="Decisions, oldest first",
    responses=_answers(DecisionPage, HTTPStatus.BAD_REQUEST),
)
async def decisions(
    request: Request,
    *,
    after: Cursor = None,
    limit: Limit = 100,
    since: Annotated[float | None, Query(ge=0, description="made at this time or later, seconds since 1970")] = None,
    account_id: Annotated[str | None, Query(max_length=256)] = None,
) -> Response:
    """Read the log of decisions; pass `cursor` as `after` to go on, also later."""
    page = await request.app.state.backend.decisions.read(after, limit, since=since, account_id=account_id)
    return _reply(DecisionPage(tuple(logged.decision for logged in page), page[-1].cursor if page else after))


@_v1.get(
    "/decisions/stream",
    summary="Decisions as they are made",
    response_class=DecisionStream,
    status_code=HTTPStatus.OK,
    responses={
        200: {
            "description": "Server-Sent Events: `decision` with a decision as its data and its cursor as its id; `gap` "
            "where some may have been missed; a comment as a heartbeat",
            "content": {"text/event-stream": {"schema": {"type": "string"}}},
        }
    },
)
async def stream(
    request: Request,
    after: Cursor = None,
    account_id: Annotated[str | None, Query(max_length=256)] = None,
    last_event_id: Annotated[str | None, Header(max_length=100)] = None,
) -> Response:
    """Follow decisions from now on, or from `Last-Event-ID` (or `after`) on."""
    state = request.app.state
    if len(state.readers) >= state.settings.streams_max:
        raise TransportError("as many readers follow decisions as there may be")
    log = state.backend.decisions
    place = last_event_id or after or await log.end()
    return DecisionStream(
        log,
        place,
        account_id=account_id,
        heartbeat_s=state.settings.heartbeat_s,
        stall_s=state.settings.stall_s,
        closing=state.closing,
        readers=state.readers,
    )


@_v1.post(
    "/feedback",
    summary="An analyst's word",
    status_code=HTTPStatus.ACCEPTED,
    responses=_answers(Word, HTTPStatus.BAD_REQUEST, HTTPStatus.SERVICE_UNAVAILABLE, status=HTTPStatus.ACCEPTED),
    openapi_extra={"requestBody": {"required": True, "content": {"application/json": _example(Word)}}},
)
async def feedback(request: Request) -> Response:
    """Call an account or a campaign malicious or benign; answers with what was understood, once it is durable."""
    taker = _intake(request)
    body = b"".join([piece async for piece in intake.limited(request.stream(), WORD_BYTES_MAX)])
    word = decode(body, Word)
    if (word.account_id is None) == (word.campaign_id is None):
        raise InvalidEvent("Expected one of `account_id` and `campaign_id`")
    lesson = Feedback(
        time.time() if word.ts is None else word.ts,
        word.label,
        word.account_id,
        word.campaign_id,
        word.analyst,
        word.note,
    )
    await taker.learn(lesson)
    return _reply(lesson, HTTPStatus.ACCEPTED)


# --- Who may ask, and what goes wrong -------------------------------------------------------------------------------


def _bearer(token: SecretStr) -> Callable[..., Any]:
    scheme = HTTPBearer(auto_error=False, description="`api.token` of the configuration")
    expected = token.get_secret_value().encode()

    async def authorise(credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(scheme)]) -> None:
        given = credentials.credentials.encode() if credentials else b""
        if not hmac.compare_digest(given, expected):
            raise HTTPException(
                HTTPStatus.UNAUTHORIZED, "a bearer token is needed", headers={"WWW-Authenticate": "Bearer"}
            )

    return authorise


def _problem(status: int, error: str, detail: str, **headers: str) -> Response:
    response = _reply(Problem(error, detail), status)
    response.headers.update(headers)
    return response


async def _http_problem(_: Request, e: Any) -> Response:
    error = HTTPStatus(e.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
    return _problem(e.status_code, error, str(e.detail), **(e.headers or {}))


async def _invalid_parameter(_: Request, e: Any) -> Response:
    said = "; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in e.errors())
    return _problem(HTTPStatus.BAD_REQUEST, "invalid_parameter", said)


async def _internal(_: Request, __: Any) -> Response:
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", "a defect of ours; the log has it")


def _says(status: HTTPStatus, error: str) -> Callable[[Request, Any], Any]:
    async def handler(_: Request, e: Any) -> Response:
        headers = {}
        if isinstance(e, TransportError):
            headers = {"Retry-After": str(max(1, round(getattr(e, "retry_after_s", 1.0))))}
        return _problem(status, error, str(e) or error, **headers)

    return handler


_HANDLERS: dict[type[Exception], Callable[[Request, Any], Any]] = {
    StarletteHTTPException: _http_problem,
    RequestValidationError: _invalid_parameter,
    intake.UnreadableBody: _says(HTTPStatus.BAD_REQUEST, "unreadable"),
    intake.BodyTooLarge: _says(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large"),
    InvalidEvent: _says(HTTPStatus.BAD_REQUEST, "invalid"),
    InvalidCursor: _says(HTTPStatus.BAD_REQUEST, "invalid_cursor"),
    ClientDisconnect: _says(HTTPStatus.BAD_REQUEST, "disconnected"),
    Overloaded: _says(HTTPStatus.TOO_MANY_REQUESTS, "overloaded"),
    TransportError: _says(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    Exception: _internal,
}


def _openapi(app: FastAPI) -> dict[str, Any]:
    """Return FastAPI's document with the schemas of our records in it."""
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        document.setdefault("components", {})["schemas"] = schemas(*EXAMPLES)
        for route in (route for path in document["paths"].values() for route in path.values()):
            if route["responses"].pop("422", None):  # FastAPI's own word for a wrong parameter; ours is 400
                route["responses"]["400"] = {
                    "description": HTTPStatus.BAD_REQUEST.phrase,
                    "content": {"application/json": _example(Problem)},
                }
    return app.openapi_schema or {}

"""Every default as a traitlet: `%config QwenMagics`, `ipython_config.py`, or the environment.

`QWEN_MAGIC_MODEL`, `QWEN_MAGIC_ENDPOINT` and so on (the trait's name in capitals) give a trait its
default. The key is none of them: it is never part of a configuration that could be shown or saved.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from traitlets import (
    Bool,
    CFloat,
    CInt,
    CUnicode,
    Dict,
    Enum,
    HasTraits,
    Int,
    List,
    TraitError,
    TraitType,
    Unicode,
    Union,
    validate,
)

from qwen_magic.conversation.usage import read_budget
from qwen_magic.endpoints import FIGURE_HOSTS, TABLE, default_endpoint_name
from qwen_magic.errors import UsageError
from qwen_magic.frontends.kernel import EXTENSION
from qwen_magic.masking import without_credentials
from qwen_magic.options import SETTINGS, Option

if TYPE_CHECKING:
    from qwen_magic.session.endpoint_keys import Endpoints
    from qwen_magic.session.session import Session

ENVIRONMENT_PREFIX = "QWEN_MAGIC_"


_TRAITS: Final[Mapping[str, type[TraitType[Any, Any]]]] = {
    "flag": Bool,
    "text": Unicode,
    "choice": CUnicode,
    "number": CFloat,
    "integer": CInt,
}


def _trait(option: Option) -> TraitType[Any, Any]:
    """The trait that gives `option` its default."""
    assert option.setting is not None
    default, about = option.setting
    if option.kind == "list":
        return List(Unicode(), default, help=about)
    return _TRAITS[option.kind](default, allow_none=True, help=about)


class QwenSettings(HasTraits):
    """The defaults of all magics. Typed options and a conversation's defaults override them."""

    vars().update({option.field: _trait(option) for option in SETTINGS})

    endpoint = Unicode(
        help=f"Where to ask: a name ({', '.join(row.name for row in TABLE)}) or a base URL. "
        "Default: DASHSCOPE_BASE_URL, else singapore."
    )
    allow_http = Bool(
        False, help="Whether a key may go over plain http to another machine, for all to read."
    )
    figure_hosts = List(
        Unicode(),
        list(FIGURE_HOSTS),
        help="The exact hosts from which figures of the code interpreter are fetched, besides "
        "the endpoint's own.",
    )
    keep = Bool(
        True,
        help="Keep conversations in a file of the user's data folder (QWEN_MAGIC_HOME sets "
        "another), so that they go on after a restart. Read when the first question is asked.",
    )
    budget = Union(
        [Int(0), Unicode()],
        help="What the conversations of this notebook may use in all: a number of tokens, or money "
        "in the currency of the host's price list ('2 USD'); 0: no limit. Warns at 80 %, refuses "
        "beyond.",
    )
    session_cache = Bool(
        True,
        help="Whether a turn that continues a conversation asks the server to keep what it has "
        "read for five minutes: reading that again costs about a tenth, keeping it a quarter more "
        "(Alibaba Cloud).",
    )
    confirm_tokens = CInt(
        20_000,
        min=0,
        help="About so many tokens of text a question may send without --send-all; 0: any number.",
    )
    notebook_tokens = CInt(
        6_000,
        min=200,
        help="About so many tokens of the notebook go with -n; --send-all sends all that is named.",
    )
    masked_columns = List(
        Unicode(),
        help="Columns and keys whose values are never sent: names, or patterns such as *_email.",
    )
    tool_rounds = CInt(
        10,
        min=0,
        help="How often one question's model is asked on with what the functions it called gave; "
        "then it has to answer.",
    )
    tool_seconds = CFloat(
        300.0,
        min=0.0,
        help="Seconds that the functions of one question may take together. (On Windows one that "
        "is not async runs to its end.)",
    )
    tool_bytes = CInt(
        100_000, min=100, help="Bytes of one function's result that are sent; the rest is cut off."
    )
    unattended = Enum(
        ["refuse", "allow"],
        "refuse",
        help="What becomes of a function call where nobody can be asked (nbconvert, papermill, "
        "scripts): refuse, or allow.",
    )
    nest_asyncio = Bool(
        True,
        help="Whether nest_asyncio2 may make the kernel's event loop re-entrant: only for an "
        "asynchronous function called in a synchronous %qwen, and for good.",
    )
    step_limit = CInt(
        12, min=1, help="After so many steps towards a goal nothing is sent unless resumed."
    )
    step_output = CInt(
        2_000, min=100, help="About so many characters of a step's output go to the model."
    )
    windows = Dict(
        key_trait=Unicode(),
        value_trait=CInt(),
        help="Context windows in tokens of models that are not known: {'my-model': 32768}.",
    )
    replay_beside = Bool(
        True,
        help="Whether a notebook is answered from the recording that lies beside it (lesson.jsonl "
        "beside lesson.ipynb), as its footers then say. Read when the first question is asked.",
    )
    stage = Bool(
        False,
        help="Show answers, tables and traces as before an audience: larger, and without ids.",
    )
    show_reasoning = Bool(
        True, help="Show the model's thinking; where it is off, `answer.reasoning` still has it."
    )
    live = Bool(True, help="Show answers in a live widget where the front end can.")
    print_figures = Bool(
        True,
        help="Save each figure once more, as an output that no page shows: LaTeX, and PDF by it, "
        "take figures from there alone. Without, a notebook is smaller by its figures' size.",
    )
    warm_up = Bool(
        True, help="Import what the first answer needs in the background, after loading."
    )

    for _each in [each for each in vars().values() if isinstance(each, TraitType)]:
        _each.tag(config=True)
    del _each  # else it is one more name of the last

    @validate("endpoint")
    def _without_credentials(self, proposal: Any) -> str:
        """Refuse credentials in a setting: settings are shown and saved."""
        return without_credentials(proposal["value"])

    @validate("budget")
    def _check_budget(self, proposal: Any) -> int | str:
        try:
            read_budget(proposal["value"])
        except UsageError as error:
            raise TraitError(error.message) from None
        value: int | str = proposal["value"]
        return value

    def apply_environment(self, configured: Any) -> None:
        """Set traits from the environment unless a configuration file sets them.

        Raises `UsageError` for an invalid value.
        """
        if "endpoint" not in configured:
            self.endpoint = default_endpoint_name()
        for name, trait in self.traits(config=True).items():
            variable = ENVIRONMENT_PREFIX + name.upper()
            value = os.environ.get(variable, "")
            if value and name not in configured:
                try:
                    setattr(self, name, _from_text(trait, value))
                except (TraitError, ValueError) as error:
                    raise UsageError(f"{variable} does not fit.", why=str(error)) from None

    def apply_to(self, session: Session) -> None:
        """Apply the settings that hold for a whole session, not for one question."""
        from qwen_magic.tools.policy import CallLimits

        session.figure_hosts = tuple(self.figure_hosts)
        session.endpoints.allow_http = self.allow_http
        session.spending.budget = read_budget(self.budget)
        session.session_cache = self.session_cache
        policy = session.tool_policy
        policy.unattended = "allow" if self.unattended == "allow" else "refuse"
        policy.may_nest = self.nest_asyncio
        policy.limits = CallLimits(
            self.tool_rounds, self.tool_seconds, self.tool_bytes, tuple(self.masked_columns)
        )


def shared_settings(shell: Any) -> tuple[QwenSettings, Endpoints | None]:
    """The settings of `shell`, and its endpoints with the keys typed there if it has asked a
    question.

    Without a shell (None) the settings of the environment. Raises `UsageError`.
    """
    extension = getattr(shell, EXTENSION, None)
    if extension is not None:
        asker = vars(extension.magics).get("asker")
        return extension.magics, asker.session.endpoints if asker else None
    settings = QwenSettings()
    configured = shell.config.get("QwenMagics", {}) if shell is not None else {}
    try:
        for name in settings.trait_names(config=True):
            if name in configured:
                setattr(settings, name, configured[name])
    except TraitError as error:
        raise UsageError("A setting of QwenMagics does not fit.", why=str(error)) from None
    settings.apply_environment(configured)
    return settings, None


def _from_text(trait: TraitType[Any, Any], value: str) -> object:
    if isinstance(trait, List):
        return [part.strip() for part in value.split(",") if part.strip()]
    return trait.from_string(value)

"""Words that somebody might type behind a verb: real keys with odd values, and anything at all."""

from hypothesis import strategies as st

from grpo_cli.config.files import component_keys
from grpo_cli.config.schema import COMPONENTS, GROUPS, everyday


def random_words() -> st.SearchStrategy[list[str]]:
    """What might stand behind `grpo config`: real keys with odd values, and anything at all."""
    inner = [key for part in COMPONENTS for key in component_keys(part)]
    odd_keys = ["hydra.run.dir", "hydra/launcher", "env.kwargs.x", "env@x", "a.b.c", "_target_", ""]
    # No surrogates and no NUL: neither can be typed.
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
    key = st.sampled_from([*everyday(), *inner, *GROUPS, *odd_keys]) | text
    odd_values = (
        "CartPole-v1 auto none null true [] {} [1,2] {a:1} {a:{b:[]}} [{}] ${lr} ${oc.env:HOME} "
        "${x} ${a:b,c} ${lr ../.. /etc/passwd ./x.py:f os.system subprocess:run a,b choice(1,2) "
        "range(0,3) glob(*) sort(2,1) 1e9999 -1e-9999 nan 0x10 1_000 'x "
    ).split()
    number = st.integers().map(str) | st.floats().map(str)
    plain = st.sampled_from(odd_values) | number | text
    nested = st.recursive(
        plain,
        lambda inside: (
            st.lists(inside, max_size=3).map(lambda some: f"[{','.join(some)}]")
            | st.dictionaries(text, inside, max_size=2).map(
                lambda some: f"{{{','.join(f'{name}:{value}' for name, value in some.items())}}}"
            )
        ),
        max_leaves=4,
    )
    quoted = st.tuples(st.sampled_from("\"'"), nested).map(lambda two: two[0] + two[1] + two[0])
    sign = st.sampled_from(["=", "=", "=", "", "==", "+=", ".="])
    before = st.sampled_from(["", "", "", "+", "++", "~", "-", "--"])
    odd = st.tuples(before, key, sign, nested | quoted).map("".join) | text
    # Most odd words are refused by the first look at them: these get further.
    real = st.tuples(st.sampled_from([*everyday(), *inner, *GROUPS]), nested).map("=".join)
    small = st.sampled_from("0 1 2 5 0.1 0.5 1e-3 true false null".split())
    likely = st.tuples(st.sampled_from([*everyday(), *inner]), small).map("=".join)
    return st.tuples(
        st.sampled_from([["env=CartPole-v1"], []]), st.lists(likely | real | odd, max_size=3)
    ).map(lambda two: two[0] + two[1])

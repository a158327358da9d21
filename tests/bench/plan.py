"""How much is measured: enough for figures that hold still, or what fits into a minute."""

from dataclasses import dataclass

SIDES = ("naive", "tuned", "Postbacks")


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of one run; counts are per round, in the order of SIDES."""

    quick: bool
    rounds: int
    door_processes: int
    delivery: tuple[int, int, int]
    whole: tuple[int, int, int]
    single: tuple[int, int, int]
    door_rounds: int
    single_events: tuple[int, int]  # requests to REST framework's door, and to ours
    batches: tuple[int, int]
    latency_seconds: float
    log_rows: int
    log_depth: int
    log_looks: int
    rendering_batches: int
    crediting_rounds: int
    crediting_events: int
    touchpoints: tuple[int, int]
    candidate_looks: int
    growth: tuple[int, int]  # attempts of the small and of the large load
    growth_looks: int  # at each page, in each of two rounds
    neighbor_seconds: float
    neighbor_rounds: int
    ends_after: float  # no further round is begun that would end later than this, in seconds


FULL = Plan(
    quick=False,
    rounds=3,
    door_processes=4,  # as README.md says
    delivery=(1_500, 1_500, 15_000),
    whole=(1_500, 1_500, 10_000),
    single=(500, 500, 10_000),
    door_rounds=3,
    single_events=(1_500, 6_000),
    batches=(20, 150),
    latency_seconds=4.0,
    log_rows=500_000,
    log_depth=400_000,
    log_looks=7,
    rendering_batches=200,
    crediting_rounds=5,
    crediting_events=10_000,
    touchpoints=(100_000, 10_000_000),
    candidate_looks=41,
    growth=(100_000, 10_000_000),
    growth_looks=3,
    neighbor_seconds=60.0,
    neighbor_rounds=3,
    ends_after=1_200.0,  # three rounds on any machine that is not far too slow
)
QUICK = Plan(
    quick=True,
    rounds=1,
    door_processes=2,
    delivery=(150, 300, 2_000),
    whole=(100, 200, 1_500),
    single=(100, 150, 1_500),
    door_rounds=1,
    single_events=(300, 1_500),
    batches=(8, 60),
    latency_seconds=1.0,
    log_rows=50_000,
    log_depth=40_000,
    log_looks=5,
    rendering_batches=40,
    crediting_rounds=3,
    crediting_events=1_000,
    touchpoints=(10_000, 1_000_000),
    candidate_looks=21,
    growth=(100_000, 1_000_000),
    growth_looks=2,
    neighbor_seconds=20.0,
    neighbor_rounds=1,
    ends_after=28.0,
)
RATES = (50, 50, 200)  # events per second of the latency row; the references bear no more

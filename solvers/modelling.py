"""From cvxpy's problems to conic programs and back."""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from solvers.array import Sparse, Vector, sparse
from solvers.bracket import Bracket
from solvers.candidate import Candidate
from solvers.cones import ROOT, Cone, Nonneg, Psd, SecondOrder, Zero
from solvers.errors import BackendAbsent, BadModel
from solvers.program import ConicProgram
from solvers.rounding import down, up


@dataclass(frozen=True, slots=True, eq=False)
class Modelled:
    """A cvxpy problem as a conic program, and the way back.

    Args:
        program: what cvxpy compiles the problem to, minimising.
        offset: a constant that cvxpy leaves out of the program's cost.
        maximise: whether the problem maximises.
    """

    program: ConicProgram
    offset: float
    maximise: bool
    _problem: Any
    _chain: Any
    _inverse: Any

    def bracket(self, proved: Bracket) -> Bracket:
        """Bounds of the problem's own optimum, from those of the program's, rounded outward."""
        lower = float(down(proved.lower + self.offset))
        upper = float(up(proved.upper + self.offset))
        return Bracket(-upper, -lower) if self.maximise else Bracket(lower, upper)

    def assign(self, candidate: Candidate) -> None:
        """Give the candidate's values to the problem's variables and dual variables.

        Raises:
            BadModel: if the candidate lacks x or z.
        """
        x, z = candidate.x, candidate.z
        if x is None or z is None:
            raise BadModel(f"Modelled: the candidate ({candidate.status.value}) has no solution")
        program = self.program
        facts = {
            "status_val": 1, "pobj": float(program.c @ x), "iter": 0,
            "solve_time": 1e3 * candidate.seconds, "setup_time": 0.0,
        }  # fmt: skip
        raw = {"x": x, "y": z, "s": program.b - program.A @ x, "info": facts}
        self._problem.unpack_results(raw, self._chain, self._inverse)


def from_cvxpy(problem: Any) -> Modelled:
    """A cvxpy problem as a conic program, compiled by cvxpy itself.

    What is proved is proved of the compiled program, whose numbers cvxpy has rounded to nearest.

    Args:
        problem: a `cvxpy.Problem`, convex by cvxpy's rules, its parameters set.

    Raises:
        BackendAbsent: without cvxpy, or without scs, for which it compiles.
        BadModel: if it is not convex by the rules, has integer variables, or needs other cones.
    """
    cvxpy = _cvxpy()
    unset = [parameter.name() for parameter in problem.parameters() if parameter.value is None]
    if unset:
        raise BadModel(f"from_cvxpy: the parameters {', '.join(unset)} have no value; set them")
    if problem.is_mixed_integer():
        raise BadModel("from_cvxpy: the problem has integer variables; relax them")
    try:
        data, chain, inverse = problem.get_problem_data(
            cvxpy.SCS, solver_opts={"use_quad_obj": False}
        )
    except (cvxpy.error.DCPError, cvxpy.error.SolverError) as error:
        raise BadModel(f"from_cvxpy: {str(error).strip()}") from error
    dims = data["dims"]
    if dims.exp or dims.p3d or dims.pnd:
        raise BadModel(
            "from_cvxpy: the problem needs exponential or power cones; expected linear, "
            "second-order and semidefinite constraints"
        )
    cones: list[Cone] = [kind(n) for kind, n in ((Zero, dims.zero), (Nonneg, dims.nonneg)) if n]
    cones += [SecondOrder(size) for size in dims.soc] + [Psd(order) for order in dims.psd]
    program = ConicProgram(data["c"], data["A"], data["b"], tuple(cones))
    maximise = isinstance(problem.objective, cvxpy.Maximize)
    return Modelled(program, float(inverse[-1]["offset"]), maximise, problem, chain, inverse)


def to_cvxpy(program: ConicProgram) -> Any:
    """A `cvxpy.Problem` with one variable, named x, and one constraint for each cone.

    Raises:
        BackendAbsent: without cvxpy.
    """
    cvxpy = _cvxpy()
    x = cvxpy.Variable(program.variables, name="x")
    limits: list[Any] = []
    for cone, rows in program.blocks():
        slack = program.b[rows] - program.A[rows] @ x
        if isinstance(cone, Psd):
            matrix = cvxpy.reshape(_spread(cone) @ slack, (cone.order, cone.order), order="F")
            limits.append(matrix >> 0)
        elif isinstance(cone, SecondOrder):
            limits.append(cvxpy.SOC(slack[0], slack[1:]))
        else:
            limits.append(slack >= 0 if isinstance(cone, Nonneg) else slack == 0)
    return cvxpy.Problem(cvxpy.Minimize(program.c @ x), limits)


def dual_values(problem: Any, program: ConicProgram) -> Vector | None:
    """The z of a problem that `to_cvxpy` made, from its dual values; None where it has none."""
    z = np.empty(program.rows)
    value: Any
    for constraint, (cone, rows) in zip(problem.constraints, program.blocks(), strict=True):
        value = constraint.dual_value
        parts: list[Any] = value if isinstance(cone, SecondOrder) else [value]
        if any(part is None for part in parts):
            return None
        if isinstance(cone, Psd):
            z[rows] = cone.pack((value + value.T) / 2)
        elif isinstance(cone, SecondOrder):
            z[rows] = np.concatenate([np.ravel(part) for part in parts])
        else:
            z[rows] = value if isinstance(cone, Nonneg) else -value
    return z


def _spread(cone: Psd) -> Sparse:
    """From packed entries to all entries of the matrix, (order^2, rows)."""
    row, column = cone.places()
    packed = np.arange(cone.rows)
    off = row != column
    scale = np.where(off, 1 / ROOT, 1.0)
    places = np.concatenate([row + cone.order * column, (column + cone.order * row)[off]])
    values = np.concatenate([scale, scale[off]])
    source = np.concatenate([packed, packed[off]])
    return sparse((values, (places, source)), (cone.order**2, cone.rows))


def _cvxpy() -> Any:
    for name in ("cvxpy", "scs"):
        if find_spec(name) is None:
            raise BackendAbsent(f"the package {name} is not installed; run: pip install {name}")
    return import_module("cvxpy")

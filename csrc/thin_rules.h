// The rules of thin.h for words of pixels: any unsigned type, or vectors of them. No templates of the standard library
// and nothing that is shared between instruction sets, since *_simd.cpp files include this.

#pragma once

#ifdef __CUDACC__
#define TOPO_RULE __device__ __forceinline__
#else
#define TOPO_RULE inline __attribute__((always_inline))
#endif

// The neighbours of all pixels of a word: bit i belongs to pixel i, y points down.
template <typename Word>
struct ThinNeighbours {
  Word n, ne, e, se, s, sw, w, nw;
};

// Whether exactly one of the given words has the bit.
template <typename Word>
struct ExactlyOne {
  Word once, more;

  TOPO_RULE explicit ExactlyOne(Word first) : once(first), more(first ^ first) {}
  TOPO_RULE void add(Word next) {
    more = more | (once & next);
    once = once | next;
  }
  TOPO_RULE Word result() const {
    return once & ~more;
  }
};

// The number of neighbours in binary: ones, twos, fours, eights.
template <typename Word>
struct NeighbourCount {
  Word ones, twos, fours, eights;

  TOPO_RULE explicit NeighbourCount(const ThinNeighbours<Word>& p) {
    const Word a = p.n ^ p.ne ^ p.e, a2 = (p.n & p.ne) | (p.e & (p.n ^ p.ne));
    const Word b = p.se ^ p.s ^ p.sw, b2 = (p.se & p.s) | (p.sw & (p.se ^ p.s));
    const Word c = p.w ^ p.nw, c2 = p.w & p.nw;
    ones = a ^ b ^ c;
    const Word d2 = (a & b) | (c & (a ^ b));
    const Word low = a2 ^ b2, low4 = a2 & b2, high = c2 ^ d2, high4 = c2 & d2;
    twos = low ^ high;
    const Word carry = low & high;
    fours = low4 ^ high4 ^ carry;
    eights = (low4 & high4) | (carry & (low4 ^ high4));
  }
};

// The pixels that the first (pass 0) or second pass of Zhang and Suen removes.
template <int pass, typename Word>
TOPO_RULE Word zhang_suen_removes(const ThinNeighbours<Word>& p) {
  const NeighbourCount<Word> count(p);
  const Word few = ~(count.fours | count.eights);
  const Word two = few & count.twos & ~count.ones, three = few & count.twos & count.ones;
  const Word four = count.fours & ~count.twos & ~count.ones;
  const Word two_to_six = (count.twos | count.fours) & ~(count.twos & count.fours & count.ones) & ~count.eights;
  // One run of foreground around the pixel.
  ExactlyOne<Word> begins(~p.n & p.ne);
  begins.add(~p.ne & p.e);
  begins.add(~p.e & p.se);
  begins.add(~p.se & p.s);
  begins.add(~p.s & p.sw);
  begins.add(~p.sw & p.w);
  begins.add(~p.w & p.nw);
  begins.add(~p.nw & p.n);
  const Word corner = two & (p.n | p.s) & (p.e | p.w);
  Word open, ends, corners, stairs;
  if (pass == 0) {
    open = ~(p.e & p.s & (p.n | p.w));
    // scikit-image: of runs of two and three, those on the far side stay.
    ends = two & ~(p.ne | (p.nw & p.n));
    corners = three & p.s & ((p.se & p.e) | (p.sw & p.w));
    stairs = (three & ((p.n & ((p.nw & p.e) | (p.w & (p.ne | p.sw)))) | (p.nw & p.s & p.w))) |
             (four & p.n & p.ne & p.sw & p.w);
  } else {
    open = ~(p.n & p.w & (p.e | p.s));
    ends = two & ~(p.sw | (p.se & p.e));
    corners = three & p.n & ((p.ne & p.e) | (p.nw & p.w));
    stairs = (three & ((p.e & ((p.n & p.se) | (p.s & p.sw))) | (p.se & p.s & p.w))) | (four & p.ne & p.e & p.s & p.sw);
  }
  return (begins.result() & two_to_six & open & ~ends & ~corners) | corner | stairs;
}

// The pixels that the first or second pass of Guo and Hall removes.
template <int pass, typename Word>
TOPO_RULE Word guo_hall_removes(const ThinNeighbours<Word>& p) {
  ExactlyOne<Word> runs(~p.n & (p.ne | p.e));
  runs.add(~p.e & (p.se | p.s));
  runs.add(~p.s & (p.sw | p.w));
  runs.add(~p.w & (p.nw | p.n));
  // Pairs of neighbours, once from each edge neighbour on in either direction.
  const Word a = p.nw | p.n, b = p.ne | p.e, c = p.se | p.s, d = p.sw | p.w;
  const Word f = p.n | p.ne, g = p.e | p.se, h = p.s | p.sw, i = p.w | p.nw;
  const Word at_least_two = ((a & b) | (c & d) | ((a | b) & (c | d))) & ((f & g) | (h & i) | ((f | g) & (h | i)));
  const Word at_most_three = ~(a & b & c & d & f & g & h & i);
  const Word kept = pass == 0 ? (p.n | p.ne | ~p.se) & p.e : (p.s | p.sw | ~p.nw) & p.w;
  return runs.result() & at_least_two & at_most_three & ~kept;
}

// By number, for code that is compiled per instruction set: method 0 is Zhang and Suen, 1 is Guo and Hall.
template <int method, int pass, typename Word>
TOPO_RULE Word thin_removes(const ThinNeighbours<Word>& p) {
  return method == 0 ? zhang_suen_removes<pass>(p) : guo_hall_removes<pass>(p);
}

#undef TOPO_RULE

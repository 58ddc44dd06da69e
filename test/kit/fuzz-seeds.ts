/**
 * Seeds that every run of a fuzzer sends again before new ones: those that found a fault, with what it was, and the first of
 * each run of a million frames. A seed stands for the same frames only as long as its fuzzer makes them in the same way: whoever
 * changes that looks whether the seeds below still find their faults, or writes a test of the fault itself.
 */
export type Fuzzed = 'native' | 'peerjs' | 'libdatachannel' | 'ayame' | 'grpc'
export type KeptSeed = { readonly seed: number, readonly why: string }

export const KEPT_SEEDS: Readonly<Record<Fuzzed, readonly KeptSeed[]>> = {
  native: [
    { seed: 20261122, why: 'finds a type that is looked up in the prototype of the table of handlers, where that is not guarded against' },
  ],
  peerjs: [
    { seed: 7, why: 'finds a payload that is no JSON and goes on as it came, where the usual order of fields is read without parsing it' },
  ],
  libdatachannel: [
    { seed: 20261121, why: 'finds a frame `null` that is taken for an object' },
    { seed: 20270000, why: 'the first of a million frames' },
  ],
  ayame: [
    { seed: 20261122, why: 'the first of a million frames; finds a type nested so deep that it cannot be written into the answer' },
  ],
  grpc: [],
}

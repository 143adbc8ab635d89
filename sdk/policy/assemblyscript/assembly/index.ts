// Policies for Wasmesh: where models are loaded, what is evicted, how status reads.
//
// A policy exports a function for each hook that it decides, and passes the body to the function of the hook here:
//
//     import { place, PlaceRequest, PlaceAnswers } from "wasmesh-policy";
//
//     export function mesh_place(length: i32): i32 {
//       return place(length, (request) => { ... PlaceAnswers.add(row, score, reason) ... });
//     }
//
// A body that adds no answer abstains, and the mesh's built-in policy decides. Decisions are functions of the request and
// the configuration: there is no clock but Header.nowMs, no randomness but Header.seed, and nothing is to be kept between
// calls. Traps, endless loops and wrong answers harm nobody: the instance is thrown away, the built-in policy decides, and a
// generation that does it again is rolled back.

export * from "./abi";
export { configInt, configure } from "./config";
export { log } from "./log";
export { evict, place, status } from "./hooks";
export { Top, TOP_ROWS } from "./top";

// What each hook does around its body: checks the request, and returns how long the answer is.

import { EvictAnswers, EvictRequest, PlaceAnswers, PlaceRequest, StatusAnswers, StatusRequest } from "./abi";
import { request } from "./memory";

/** Names the hosts to load on, best first, with PlaceAnswers.add. */
// @ts-ignore: decorator
@inline
export function place(length: i32, body: (request: PlaceRequest) => void): i32 {
  const error = PlaceRequest.open(request(), length);
  if (error != 0) return error;
  body(PlaceRequest.current);
  return PlaceAnswers.length();
}

/** Says what each copy is worth keeping, with EvictAnswers.add for each row. */
// @ts-ignore: decorator
@inline
export function evict(length: i32, body: (request: EvictRequest) => void): i32 {
  const error = EvictRequest.open(request(), length);
  if (error != 0) return error;
  body(EvictRequest.current);
  return EvictAnswers.length();
}

/** Says how a status reads, with StatusAnswers.set. */
// @ts-ignore: decorator
@inline
export function status(length: i32, body: (request: StatusRequest) => void): i32 {
  const error = StatusRequest.open(request(), length);
  if (error != 0) return error;
  body(StatusRequest.current);
  return StatusAnswers.length();
}

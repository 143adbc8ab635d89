// Package rest (pure) translates between the JSON of the Open Inference Protocol's REST API, version 2, and its protobuf
// messages. It is called by the REST listener, before and after the one pipeline that both listeners share.
//
// Requests become raw_input_contents: one buffer for each input, in the layout that runtimes take without looking at each
// element. Answers are read from raw or typed contents, as the runtime chose.
//
// Numbers that JSON cannot say are the strings "NaN", "Infinity" and "-Infinity", as in protobuf's JSON, both ways: the
// body stays JSON for every parser, and numpy reads these strings as the numbers.
package rest

// Package sim puts simulated meshes (host/simulate) through faults: scenarios drawn from seeds (Generate), many of them at
// once (Seeds), made as small as they can be where one breaks a promise (Shrink), and scenarios that people wrote down or
// that once found something (testdata). README.md says how to run it, how to read what it says and how to write a scenario.
//
// cmd/sim is the program; `make sim` runs it.
package sim

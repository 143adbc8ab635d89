// Package arbiter (pure) decides where in the mesh a model is loaded and how many copies of it there are. Every host runs
// a Machine and decides about the models for which it comes first (members.View.Arbiters); nothing else in the mesh changes
// the number of copies. Machine.Step takes an event and the time and answers effects; package mesh performs them and feeds
// their results back, and a simulator does the same in virtual time. Given the same events at the same times it answers
// the same.
//
// The way of a decision about one model. There is at most one at a time, whatever it is for, so that two hosts never both
// add a copy; asks that come meanwhile wait for its end and are looked at again then.
//
//	asked, or copies are missing
//	     |
//	     v       a host holds, loads or queues it already
//	   census ------------------------------------------> answer: that host
//	     | none
//	     v       nobody able
//	   rank  --------------------------------------------> answer: why not
//	     | best  ^
//	     v       | refused: with fresh figures of that host, at most Rounds times;
//	  reserve ---+ after that the others in order
//	     | granted
//	     v
//	   answer, and the host counts as holding the model until residency says so
//
// What is believed. Figures of other hosts are half a second old, and hundreds of models may be placed in that time. So
// each Reserve counts against the free memory of its host from the moment that it is sent until figures come that are
// newer than its answer (pending.go).
//
// Two arbiters at once do no harm. While Views differ, or the network is split, each decides for itself: a host grants
// what it holds already, so that at worst there is a copy too many, which is shed like any other when all see each other
// again (surplus.go). Whoever is asked and does not come first says so, unless the asker has tried all before it in vain.
//
// Limits. Who waits is never refused for lack of free memory. A load that nobody waits for is (background.go).
//
// Where to look:
//
//	machine, event, effect, config, model    the frame
//	ask         asks come, wait and are answered
//	census      which hosts hold a model, and where it failed
//	decision    rank, reserve, again
//	rows        the hosts as the place policy sees them
//	pending     memory that is given away and not yet in the figures
//	refusal     what is said when no host takes the model
//	use         how busy copies are, and how many are needed
//	background  copies that are missing although no request waits
//	surplus     copies that are not needed
//	history     what is remembered of models that are loaded nowhere
package arbiter

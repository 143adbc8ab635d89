// Package link is one host following another: the Link stream of sdk/proto/peer/v1, from both ends.
//
// A Publisher holds what this host says of itself: its residency log, why loads failed, its figures. A Server tells it to
// any number of followers. None of them has a queue: each has a place in the log, and is sent what has changed since when
// it is ready for it, or everything when that is too much. So a slow follower costs nothing, and gets what is true now.
// Changes of state go out at once, many of them together; changes of use and figures wait for the next beat, which they replace.
//
// Follow is the other end: it takes in one stream until it breaks, is silent for long, or the other host leaves. A host
// that is silent for a moment is said to be, and that it is heard again; the stream has lost nothing. Everything that
// arrives is checked; what does not fit together is asked for again once, and then the stream is given up.
//
// Package peers owns all three.
package link

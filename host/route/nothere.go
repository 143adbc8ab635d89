package route

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Reason is why a host turned a request away without passing it to a model server.
type Reason uint8

const (
	// Absent: the host has no copy of the model and loads none. What others believed was out of date.
	Absent Reason = iota
	// Loading: the model is queued or being loaded, and the request did not say that it would wait.
	Loading
	// Draining: the copy is being unloaded.
	Draining
	// Failed: the model could not be loaded there; Err says why and when it is tried again.
	Failed
	// Refused: the host will not have the request, for the reason in Err: too much waits there, the model is too large,
	// or the host does not know it.
	Refused
	// Stopping: the host is about to leave and takes nothing more.
	Stopping
	// Busy: the copy has as many requests as it takes at once, and the request did not say that it would wait.
	Busy
	// Unreachable: nothing of the request reached the host. It is concluded, never said by the host itself.
	Unreachable
)

var reasons = [...]string{
	Absent: "absent", Loading: "loading", Draining: "draining", Failed: "failed", Refused: "refused", Stopping: "stopping", Busy: "busy",
	Unreachable: "unreachable",
}

// String is the reason in one lower-case word: its form on the wire and as a label.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r]
	}
	return "unknown"
}

// NotHere is a host's word that it did not pass a request to a model server; sending the request elsewhere is safe.
type NotHere struct {
	Reason Reason
	// Err is what the client hears if nobody else can serve the request. Failed and Refused have one.
	Err *Error
}

// Error implements error, so that a host's own copies can answer with a *NotHere too.
func (n *NotHere) Error() string {
	if n.Err != nil {
		return n.Err.Message
	}
	return "the model is not here: " + n.Reason.String()
}

// maxNotHereMessage bounds the message in a header, in bytes before it is encoded: others have limits for headers.
const maxNotHereMessage = 2 << 10

// Encode is n as a header value: the reason alone, or "reason outcome milliseconds message", the message
// percent-encoded and cut where it is very long.
func (n *NotHere) Encode() string {
	if n.Err == nil {
		return n.Reason.String()
	}
	message := n.Err.Message
	if len(message) > maxNotHereMessage {
		cut := maxNotHereMessage
		for cut > 0 && !utf8.RuneStart(message[cut]) {
			cut--
		}
		message = message[:cut]
	}
	return fmt.Sprintf("%s %s %d %s", n.Reason, n.Err.Outcome, max(0, n.Err.RetryAfter.Milliseconds()), url.PathEscape(message))
}

// ParseNotHere reads what Encode wrote, and nothing else.
func ParseNotHere(value string) (*NotHere, error) {
	word, rest, long := strings.Cut(value, " ")
	n := &NotHere{}
	if !n.Reason.parse(word) {
		return nil, fmt.Errorf("parse %s: unknown reason %q", HeaderNotHere, word)
	}
	if !long {
		return n, nil
	}
	fields := strings.Split(rest, " ")
	if len(fields) != 3 {
		return nil, fmt.Errorf("parse %s: %d fields, want a reason alone or 4", HeaderNotHere, len(fields)+1)
	}
	outcome, ok := ParseOutcome(fields[0])
	if !ok || outcome == Served {
		return nil, fmt.Errorf("parse %s: unknown outcome %q", HeaderNotHere, fields[0])
	}
	const maxRetryMillis = 24 * 60 * 60 * 1000
	millis, err := strconv.ParseUint(fields[1], 10, 32)
	if err != nil || millis > maxRetryMillis || fields[1] != strconv.FormatUint(millis, 10) {
		return nil, fmt.Errorf("parse %s: %q are no milliseconds of a day at most", HeaderNotHere, fields[1])
	}
	message, err := url.PathUnescape(fields[2])
	if err != nil || len(message) > maxNotHereMessage || !utf8.ValidString(message) {
		return nil, fmt.Errorf("parse %s: the message is malformed or longer than %d bytes", HeaderNotHere, maxNotHereMessage)
	}
	n.Err = &Error{Outcome: outcome, Message: message, RetryAfter: time.Duration(millis) * time.Millisecond}
	return n, nil
}

// parse sets r from its wire form; false when there is none of that name.
func (r *Reason) parse(word string) bool {
	for i, name := range reasons {
		if name == word && Reason(i) != Unreachable {
			*r = Reason(i)
			return true
		}
	}
	return false
}

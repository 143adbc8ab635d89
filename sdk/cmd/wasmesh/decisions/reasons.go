package decisions

import (
	"strconv"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// ReasonMeaning explains the word of a reason, as docs/policy-abi.md does; empty for one of a policy's own.
func ReasonMeaning(word string) string {
	for _, r := range Reasons() {
		if r.Word == word {
			return r.Meaning
		}
	}
	return ""
}

// Reason is the word that explains an answer, with what it means.
type Reason struct{ Word, Meaning string }

// Reasons answers all that the ABI has, in its order.
func Reasons() []Reason {
	meanings := map[policyabi.Reason]string{
		policyabi.ReasonFree:        "enough memory is free",
		policyabi.ReasonLeastLost:   "what has to go there is worth least",
		policyabi.ReasonZone:        "its zone has fewer copies",
		policyabi.ReasonPacked:      "it is the fullest that still has room",
		policyabi.ReasonWarming:     "it has just started",
		policyabi.ReasonBusy:        "it has many loads or requests",
		policyabi.ReasonHasCopy:     "it has a copy already",
		policyabi.ReasonExcluded:    "it is leaving, or the asker excluded it",
		policyabi.ReasonTooSmall:    "it could never hold the model",
		policyabi.ReasonRecency:     "by when it was last used",
		policyabi.ReasonRate:        "by how often it is used, what a reload costs, and its size",
		policyabi.ReasonFresh:       "it was loaded a moment ago",
		policyabi.ReasonPriority:    "its owner gave it another priority",
		policyabi.ReasonFrequency:   "by how often it was used since its load",
		policyabi.ReasonOldestCache: "what has to go there was unused for longest",
	}
	var all []Reason
	for reason := policyabi.Reason(1); reason.String() != strconv.Itoa(int(reason)); reason++ {
		all = append(all, Reason{reason.String(), meanings[reason]})
	}
	return all
}

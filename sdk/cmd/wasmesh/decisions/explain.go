package decisions

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Candidate is one row of a decision: a host, a copy, or one field of a status.
type Candidate struct {
	// Name of the host or model, or of the field.
	Name string
	// Position in the answer's order, from 1; 0 when the answer does not name it.
	Position int
	// Value is the score, the keep-value, or what the field says.
	Value  string
	Reason string
	// Facts are what the policy knew, in short.
	Facts string
}

// Candidates answers the rows of a request in the order that an answer gives them, the best first: the host to load on,
// the copy to evict. answer may be another than the recorded one, or empty: nothing was decided. Rows that it does not
// name come last. An error says that one of the two is damaged.
func Candidates(request, answer []byte) (all []Candidate, err error) {
	hook, err := policyabi.HookOf(request)
	if err == nil {
		switch hook {
		case policyabi.HookPlace:
			all, err = place(request, answer)
		case policyabi.HookEvict:
			all, err = evict(request, answer)
		case policyabi.HookStatus:
			all, err = status(request, answer)
		default:
			err = fmt.Errorf("hook %v is not known to this program", hook)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("explain decision: %w", err)
	}
	return all, nil
}

func place(request, answer []byte) ([]Candidate, error) {
	r, err := policyabi.DecodePlaceRequest(request)
	if err != nil {
		return nil, err
	}
	var answers []policyabi.PlaceAnswer
	if len(answer) > 0 {
		if answers, err = policyabi.DecodePlaceAnswers(answer, len(r.Rows)); err != nil {
			return nil, err
		}
	}
	var all []Candidate
	named := make([]bool, len(r.Rows))
	for i, a := range answers {
		named[a.Row] = true
		all = append(all, Candidate{
			Position: i + 1, Name: r.Rows[a.Row].Name, Value: fmt.Sprint(a.Score), Reason: a.Reason.String(), Facts: hostFacts(r.Rows[a.Row]),
		})
	}
	for i, row := range r.Rows {
		if !named[i] {
			all = append(all, Candidate{Name: row.Name, Facts: hostFacts(row)})
		}
	}
	return all, nil
}

func hostFacts(row policyabi.PlaceRow) string {
	facts := []string{
		fmt.Sprintf("%s free of %s", quantity(row.FreeMemory), quantity(row.CapacityMemory)),
		fmt.Sprintf("%d copies", row.Copies),
	}
	if n := row.LoadsQueued + row.LoadsRunning; n > 0 {
		facts = append(facts, fmt.Sprintf("%d loads", n))
	}
	return strings.Join(append(facts, flags(row.Flags)...), ", ")
}

func evict(request, answer []byte) ([]Candidate, error) {
	r, err := policyabi.DecodeEvictRequest(request)
	if err != nil {
		return nil, err
	}
	var answers []policyabi.EvictAnswer
	if len(answer) > 0 {
		if answers, err = policyabi.DecodeEvictAnswers(answer, len(r.Rows)); err != nil {
			return nil, err
		}
	}
	policyabi.SortVictims(answers, func(row uint32) (int64, uint64) { return r.Rows[row].LastUsedMs, r.Rows[row].CopyID })
	var all []Candidate
	if len(answers) == 0 {
		for _, row := range r.Rows {
			all = append(all, Candidate{Name: row.Name, Facts: copyFacts(row, r.Header.NowMs)})
		}
	}
	for i, a := range answers {
		row := r.Rows[a.Row]
		all = append(all, Candidate{
			Position: i + 1, Name: row.Name, Value: fmt.Sprint(a.Keep), Reason: a.Reason.String(), Facts: copyFacts(row, r.Header.NowMs),
		})
	}
	return all, nil
}

func copyFacts(row policyabi.EvictRow, nowMs int64) string {
	facts := []string{quantity(row.SizeMemory)}
	if row.LastUsedMs > 0 {
		facts = append(facts, fmt.Sprintf("used %s ago", ago(nowMs-row.LastUsedMs)))
	}
	facts = append(facts, perMinute(row.Rate))
	if row.LoadMs > 0 {
		facts = append(facts, fmt.Sprintf("load %v", time.Duration(row.LoadMs)*time.Millisecond))
	}
	if row.InFlight > 0 {
		facts = append(facts, fmt.Sprintf("%d in flight", row.InFlight))
	}
	return strings.Join(append(facts, flags(row.Flags)...), ", ")
}

// status answers the fields of the one answer; what it was made of is in the request, which has its own words.
func status(request, answer []byte) ([]Candidate, error) {
	if _, err := policyabi.DecodeStatusRequest(request); err != nil || len(answer) == 0 {
		return nil, err
	}
	a, err := policyabi.DecodeStatusAnswer(answer)
	if err != nil {
		return nil, err
	}
	ready := "False"
	if a.Ready != 0 {
		ready = "True"
	}
	all := []Candidate{
		{Name: "transition", Value: a.Transition.String()},
		{Name: "active", Value: a.ActiveState.String(), Reason: failure(a.ActiveFailure)},
		{Name: "ready", Value: ready},
	}
	if a.TargetState != 0 {
		all = slices.Insert(all, 2, Candidate{Name: "target", Value: a.TargetState.String(), Reason: failure(a.TargetFailure)})
	}
	for i := range all {
		all[i].Position = i + 1
	}
	return all, nil
}

func failure(f policyabi.Failure) string {
	if f == 0 {
		return ""
	}
	return f.String()
}

// flags are the names of the bits that are set.
func flags[F ~uint16 | ~uint32](all F) []string {
	var names []string
	for bit := F(1); bit != 0; bit <<= 1 {
		if all&bit != 0 {
			names = append(names, fmt.Sprint(any(all&bit)))
		}
	}
	return names
}

func quantity(n int64) string {
	const unit = 1024
	if n < unit { // A ledger that owes memory has less than none.
		return fmt.Sprintf("%d B", n)
	}
	value, suffix := float64(n)/unit, "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB"} {
		if value < unit {
			break
		}
		value, suffix = value/unit, next
	}
	return fmt.Sprintf("%.1f %s", value, suffix)
}

func ago(ms int64) string { return duration.HumanDuration(time.Duration(ms) * time.Millisecond) }

// perMinute turns requests per 1e6 s into what people think in.
func perMinute(rate uint64) string {
	perMinute := float64(rate) * 60 / 1e6
	switch {
	case perMinute == 0:
		return "no requests"
	case perMinute < 10:
		return fmt.Sprintf("%.3g requests/min", perMinute)
	}
	return fmt.Sprintf("%.0f requests/min", perMinute)
}

// Outcome is the word for what became of a call, without the enum's prefix.
func Outcome(d *syncv1.Decision) string {
	word := strings.TrimPrefix(d.GetOutcome().String(), "DECISION_OUTCOME_")
	return strings.ToLower(strings.ReplaceAll(word, "_", " "))
}

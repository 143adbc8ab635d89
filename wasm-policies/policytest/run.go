package policytest

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Decider answers a request of the ABI: a module, or a policy in Go. No answer and no error is to abstain.
type Decider interface {
	Decide(hook policyabi.Hook, request Request) (answer []byte, fuel uint64, err error)
}

// Result is what became of one scenario.
type Result struct {
	Scenario Scenario
	// Passed, and if not, Why.
	Passed bool
	Why    string
	// Lines compare what was wanted with what was answered, row by row or field by field.
	Lines []Line
	Fuel  uint64
}

// Line is one row of a place or evict answer, or one field of a status.
type Line struct {
	// Subject is the row's name, or the field's.
	Subject string
	// Want and Got are positions, from 1, or values. Empty is not wanted, or not answered.
	Want, Got string
	// Value is the score or the keep-value, Reason why.
	Value, Reason string
}

// Run has one scenario decided, and compares.
func Run(decider Decider, s Scenario) Result {
	answer, fuel, err := decider.Decide(s.Hook, s.Request)
	r := Result{Scenario: s, Fuel: fuel}
	switch {
	case err != nil:
		r.Why = err.Error()
	case len(answer) == 0 && s.Want.Abstain:
		r.Passed = true
		return r
	case len(answer) == 0:
		r.Why = "it abstained"
	case s.Hook == policyabi.HookStatus:
		r.status(answer)
	default:
		r.ranking(answer)
	}
	if s.Want.Abstain && err == nil {
		r.Passed, r.Why = false, "it should have abstained"
	}
	if len(r.Lines) == 0 {
		r.unanswered()
	}
	return r
}

// Failed is the result of a scenario that could not be decided.
func Failed(s Scenario, why string) Result {
	r := Result{Scenario: s, Why: why}
	r.unanswered()
	return r
}

// unanswered shows what was wanted, where there is no answer to compare it with.
func (r *Result) unanswered() {
	for _, name := range r.Scenario.Rows {
		if r.Scenario.Hook != policyabi.HookStatus {
			r.Lines = append(r.Lines, Line{Subject: name, Want: r.Scenario.Want.position(name)})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Scenario.Want.Status)) {
		r.Lines = append(r.Lines, Line{Subject: name, Want: fmt.Sprint(r.Scenario.Want.Status[name])})
	}
}

// placed is one row in the order that the answer says.
type placed struct {
	row    int
	value  int32
	reason policyabi.Reason
}

// ranking reads a place or evict answer and compares orders.
func (r *Result) ranking(answer []byte) {
	got, err := r.order(answer)
	if err != nil {
		r.Why = err.Error()
		return
	}
	var order []string
	for i, p := range got {
		name := r.Scenario.Rows[p.row]
		order = append(order, name)
		r.Lines = append(r.Lines, Line{
			Subject: name, Want: r.Scenario.Want.position(name), Got: strconv.Itoa(i + 1),
			Value: strconv.Itoa(int(p.value)), Reason: fmt.Sprint(p.reason),
		})
	}
	for _, name := range r.Scenario.Rows {
		if !slices.Contains(order, name) {
			r.Lines = append(r.Lines, Line{Subject: name, Want: r.Scenario.Want.position(name)})
		}
	}
	want := r.Scenario.Want
	switch {
	case want.Order != nil && !slices.Equal(order, want.Order):
		r.Why = "another order"
	case want.First != "" && (len(order) == 0 || order[0] != want.First):
		r.Why = fmt.Sprintf("%s should have come first", want.First)
	default:
		r.Passed = true
	}
}

func (r *Result) order(answer []byte) ([]placed, error) {
	var got []placed
	if r.Scenario.Hook == policyabi.HookPlace {
		answers, err := policyabi.DecodePlaceAnswers(answer, len(r.Scenario.Rows))
		for _, a := range answers {
			got = append(got, placed{int(a.Row), a.Score, a.Reason})
		}
		return got, err
	}
	answers, err := policyabi.DecodeEvictAnswers(answer, len(r.Scenario.Rows))
	rows := r.Scenario.Request.(*policyabi.EvictRequest).Rows
	policyabi.SortVictims(answers, func(row uint32) (int64, uint64) { return rows[row].LastUsedMs, rows[row].CopyID })
	for _, a := range answers {
		got = append(got, placed{int(a.Row), a.Keep, a.Reason})
	}
	return got, err
}

// position of a row in the order that is wanted, from 1; empty for one that does not matter or is not wanted.
func (w Want) position(name string) string {
	if i := slices.Index(w.Order, name); i >= 0 {
		return strconv.Itoa(i + 1)
	}
	if name == w.First {
		return "1"
	}
	return ""
}

// status compares the fields that the scenario names.
func (r *Result) status(answer []byte) {
	got, err := policyabi.DecodeStatusAnswer(answer)
	if err != nil {
		r.Why = err.Error()
		return
	}
	var want policyabi.StatusAnswer
	if err := (filler{}).fields("want.status", r.Scenario.Want.Status, &want); err != nil {
		r.Why = err.Error()
		return
	}
	r.Passed = true
	wants, gots := reflect.ValueOf(want), reflect.ValueOf(got)
	for i := range gots.NumField() {
		name := snake(gots.Type().Field(i).Name)
		line := Line{Subject: name, Got: fmt.Sprint(gots.Field(i).Interface())}
		if _, named := r.Scenario.Want.Status[name]; named {
			if line.Want = fmt.Sprint(wants.Field(i).Interface()); line.Want != line.Got {
				r.Passed, r.Why = false, "another status"
			}
		}
		r.Lines = append(r.Lines, line)
	}
}

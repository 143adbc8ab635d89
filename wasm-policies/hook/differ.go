package hook

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Differ says how two valid answers to one request differ where it matters: another host or victim comes first, or a field
// of a status is another. It is empty when they do not.
func Differ(hook policyabi.Hook, request, one, other []byte) (string, error) {
	switch hook {
	case policyabi.HookPlace:
		return differPlace(request, one, other)
	case policyabi.HookEvict:
		return differEvict(request, one, other)
	case policyabi.HookStatus:
		return differStatus(one, other)
	}
	return "", fmt.Errorf("compare policy answers: no policy decides %v", hook)
}

// shown is how many of a ranking a difference names.
const shown = 3

func differPlace(request, one, other []byte) (string, error) {
	v, err := policyabi.ViewPlace(request)
	if err != nil {
		return "", err
	}
	rows := func(answer []byte) (rows []int, err error) {
		answers, err := policyabi.DecodePlaceAnswers(answer, v.Len())
		for _, a := range answers {
			rows = append(rows, int(a.Row))
		}
		return rows, err
	}
	return differRanking(ranking{rows, func(row int) string { return string(v.Row(row).Name()) }}, one, other)
}

func differEvict(request, one, other []byte) (string, error) {
	v, err := policyabi.ViewEvict(request)
	if err != nil {
		return "", err
	}
	rows := func(answer []byte) ([]int, error) {
		answers, err := policyabi.DecodeEvictAnswers(answer, v.Len())
		return Victims(v, answers), err
	}
	return differRanking(ranking{rows, func(row int) string { return string(v.Row(row).Name()) }}, one, other)
}

// Victims are the rows that may be evicted, in the order in which they would be: the lowest keep-value first, of equal ones
// the least recently used.
func Victims(v policyabi.EvictView, answers []policyabi.EvictAnswer) []int {
	const never = policyabi.CopyFlagPinned | policyabi.CopyFlagLoading | policyabi.CopyFlagInFlight
	candidates := slices.DeleteFunc(slices.Clone(answers), func(a policyabi.EvictAnswer) bool {
		return v.Row(int(a.Row)).Flags()&never != 0
	})
	policyabi.SortVictims(candidates, func(row uint32) (int64, uint64) {
		r := v.Row(int(row))
		return r.LastUsedMs(), r.CopyID()
	})
	rows := make([]int, len(candidates))
	for i, c := range candidates {
		rows[i] = int(c.Row)
	}
	return rows
}

// ranking reads answers of one request.
type ranking struct {
	// rows of an answer, first choice first.
	rows func(answer []byte) ([]int, error)
	name func(row int) string
}

// differRanking compares who comes first, and shows who follows.
func differRanking(r ranking, one, other []byte) (string, error) {
	a, err := r.rows(one)
	if err != nil {
		return "", err
	}
	b, err := r.rows(other)
	if err != nil {
		return "", err
	}
	if slices.Equal(a[:min(1, len(a))], b[:min(1, len(b))]) {
		return "", nil
	}
	return fmt.Sprintf("%s instead of %s", r.list(b), r.list(a)), nil
}

func (r ranking) list(rows []int) string {
	if len(rows) == 0 {
		return "none"
	}
	var names []string
	for _, row := range rows[:min(shown, len(rows))] {
		names = append(names, r.name(row))
	}
	return strings.Join(names, ", ")
}

func differStatus(one, other []byte) (string, error) {
	a, err := policyabi.DecodeStatusAnswer(one)
	if err != nil {
		return "", err
	}
	b, err := policyabi.DecodeStatusAnswer(other)
	if err != nil {
		return "", err
	}
	if a == b {
		return "", nil
	}
	return fmt.Sprintf("%s instead of %s", stated(b), stated(a)), nil
}

// stated is a status answer for people.
func stated(a policyabi.StatusAnswer) string {
	text := fmt.Sprintf("%v/%v", a.Transition, a.ActiveState)
	if a.ActiveFailure != 0 {
		text += fmt.Sprintf("(%v)", a.ActiveFailure)
	}
	if a.TargetState != 0 || a.TargetFailure != 0 {
		text += fmt.Sprintf("/%v", a.TargetState)
	}
	if a.TargetFailure != 0 {
		text += fmt.Sprintf("(%v)", a.TargetFailure)
	}
	if a.Ready == 0 {
		return text + "/not ready"
	}
	return text + "/ready"
}

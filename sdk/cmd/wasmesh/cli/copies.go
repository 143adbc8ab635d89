package cli

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/printer"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// none stands in a cell for what is not set, so that columns stay apart for scripts too.
const none = "<none>"

// copyColumns are what -o wide says of a model's copies, and of its owner's wishes for them.
func copyColumns() []printer.Column[*model] {
	wide := func(header string, cell func(*model) string) printer.Column[*model] {
		return printer.Column[*model]{Header: header, Wide: true, Cell: cell}
	}
	return []printer.Column[*model]{
		wide("COPIES-BY-HOST", copiesByHost),
		wide("IN-FLIGHT", func(m *model) string { return overCopies(m, (*syncv1.Copy).GetInFlight) }),
		wide("WAITING", func(m *model) string { return overCopies(m, (*syncv1.Copy).GetWaiting) }),
		wide("MIN", func(m *model) string { return strconv.FormatUint(uint64(m.GetModel().GetKnobs().GetMinCopies()), 10) }),
		wide("MAX", func(m *model) string { return orNone(m.GetModel().GetKnobs().GetMaxCopies()) }),
		wide("PIN", func(m *model) string { return strconv.FormatBool(m.GetModel().GetKnobs().GetPinned()) }),
		wide("IDLE-TTL", idleTTL),
		wide("PRIORITY", func(m *model) string { return strconv.FormatInt(int64(m.GetModel().GetKnobs().GetPriority()), 10) }),
		wide("MAX-CONCURRENCY", maxConcurrency),
	}
}

// copiesByHost is every copy with its state, "a-0=Loaded,a-1=Loading".
func copiesByHost(m *model) string {
	if len(m.GetCopies()) == 0 {
		return none
	}
	var parts []string
	for _, c := range m.GetCopies() {
		parts = append(parts, c.GetHostId()+"="+copyState(c.GetCopy().GetState()))
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// copyState is the state as a word.
func copyState(state syncv1.CopyState) string {
	word := strings.ToLower(strings.TrimPrefix(state.String(), "COPY_STATE_"))
	return strings.ToUpper(word[:1]) + word[1:]
}

// overCopies adds a figure of all copies up.
func overCopies(m *model, figure func(*syncv1.Copy) uint32) string {
	sum := uint64(0)
	for _, c := range m.GetCopies() {
		sum += uint64(figure(c.GetCopy()))
	}
	return strconv.FormatUint(sum, 10)
}

func idleTTL(m *model) string {
	millis := m.GetModel().GetKnobs().GetIdleTtlMs()
	if millis == 0 {
		return none
	}
	return (time.Duration(millis) * time.Millisecond).String()
}

// maxConcurrency is of one copy; runtimes may each have another.
func maxConcurrency(m *model) string {
	most := uint32(0)
	for _, c := range m.GetCopies() {
		most = max(most, c.GetCopy().GetMaxConcurrency())
	}
	return orNone(most)
}

// orNone prints a bound; 0 is that there is none.
func orNone(n uint32) string {
	if n == 0 {
		return none
	}
	return strconv.FormatUint(uint64(n), 10)
}

// hostRuntime names the host's ServingRuntime; a gateway has none.
func hostRuntime(h *host) string { return cmp.Or(h.GetHello().GetRuntime(), none) }

func hostZone(h *host) string { return cmp.Or(h.GetHello().GetZone(), none) }

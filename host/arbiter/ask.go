package arbiter

import (
	"fmt"
	"slices"

	"github.com/wasmesh/wasmesh/sdk/policyabi"

	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// demand is what a copy is wanted for.
type demand struct {
	purpose policyabi.Purpose
	// exclude are hosts whose copies do not count and that get none; in order, each once.
	exclude []string
	// asker is the host that asked; empty when this arbiter wants it itself.
	asker string
	// want is set for what this arbiter wants itself.
	want want
}

// ask is a demand that somebody waits for.
type ask struct {
	id AskID
	demand
}

// same reports whether what is answered to one is an answer to the other.
func (d demand) same(o demand) bool {
	return d.purpose == o.purpose && slices.Equal(d.exclude, o.exclude)
}

// adds reports whether it is for one copy more, however many there are.
func (d demand) adds() bool {
	return d.purpose == policyabi.PurposeScale || d.purpose == policyabi.PurposeMinCopies
}

// accepts reports whether the demand is met by a copy on this host.
func (d demand) accepts(host string) bool {
	_, excluded := slices.BinarySearch(d.exclude, host)
	return !excluded
}

// placeAsked answers at once what it can, and has everything else wait for a decision.
func (m *Machine) placeAsked(event PlaceAsked) {
	mo := m.ids[event.Model]
	if mo == nil {
		m.refuseAsk(event.Ask, Unplaced{
			Reason:  peerv1.UnplacedReason_UNPLACED_REASON_STALE,
			Message: fmt.Sprintf("host %s does not know model %s", m.config.Self, event.Model), RetryAfter: retryBusy,
		})
		return
	}
	if first := m.before(mo, event.PassedOver); first != "" {
		m.refuseAsk(event.Ask, Unplaced{
			Reason:  peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER,
			Message: fmt.Sprintf("host %s decides about model %s before host %s does", first, mo.id, m.config.Self),
		})
		return
	}
	if m.asks >= m.config.Asks || len(mo.asks) >= m.config.AsksPerModel {
		m.refuseAsk(event.Ask, Unplaced{
			Reason: peerv1.UnplacedReason_UNPLACED_REASON_NO_ROOM, RetryAfter: retryBusy,
			Message: fmt.Sprintf("host %s has %d requests for placement to answer, %d of them for model %s: ask again",
				m.config.Self, m.asks, len(mo.asks), mo.id),
		})
		return
	}
	mo.asks = append(mo.asks, ask{id: event.Ask, demand: m.demandOf(event)})
	m.asks++
	m.settle(mo)
}

// demandOf reads an ask. Excluded hosts that are not in the View make no difference, so a demand is never longer than it.
func (m *Machine) demandOf(event PlaceAsked) demand {
	d := demand{purpose: event.Purpose, asker: event.Asker}
	for _, host := range event.Exclude {
		if m.step.view.Find(host) != nil {
			d.exclude = append(d.exclude, host)
		}
	}
	switch d.purpose {
	case policyabi.PurposeDrain:
		d.exclude = append(d.exclude, event.Asker) // Elsewhere, whether it says so or not.
	case policyabi.PurposeMiss, policyabi.PurposeScale, policyabi.PurposeMinCopies, policyabi.PurposeRebalance:
	default:
		d.purpose = policyabi.PurposeBackground
	}
	slices.Sort(d.exclude)
	d.exclude = slices.Compact(d.exclude)
	return d
}

func (m *Machine) refuseAsk(id AskID, unplaced Unplaced) {
	m.emit(Answer{Asks: []AskID{id}, Result: Result{Unplaced: &unplaced}})
}

// before is the host that has to be asked before this one, which decides when there is none: when it comes first, or when
// the asker has tried all before it. Also when it does not come at all, for the mesh must not stand still while Views
// differ.
func (m *Machine) before(mo *model, passedOver []string) string {
	if m.home(mo) {
		return ""
	}
	for _, h := range m.step.view.Arbiters(mo.key, mo.runtimes()) {
		switch {
		case h.ID == m.config.Self:
			return ""
		case !slices.Contains(passedOver, h.ID):
			return h.ID
		}
	}
	return ""
}

// home reports whether this host comes first for the model.
func (m *Machine) home(mo *model) bool { return m.step.view.Home(mo.key, mo.runtimes()) }

// serve answers the asks that are met by what there is, and decides about the others, one after the other.
func (m *Machine) serve(mo *model) {
	for len(mo.asks) > 0 {
		c := m.census(mo)
		m.answerKnown(mo, c)
		if len(mo.asks) == 0 || mo.decision != nil {
			return
		}
		m.begin(mo, mo.asks[0].demand, c) // Which answers that ask, if it comes to an end at once.
	}
}

// answerKnown answers the asks that need no decision.
func (m *Machine) answerKnown(mo *model, c census) {
	for i := 0; i < len(mo.asks); {
		lead := mo.asks[i].demand
		result := m.known(mo, c, lead)
		if result == (Result{}) {
			i++
			continue
		}
		m.answer(mo, func(a ask) bool { return a.same(lead) }, result)
	}
}

// known is what can be said without a decision; the zero Result for nothing.
func (m *Machine) known(mo *model, c census, d demand) Result {
	if d.adds() {
		if wanted := max(m.wanted(mo, c), 1); c.count() >= wanted {
			return Result{Unplaced: &Unplaced{
				Reason:  peerv1.UnplacedReason_UNPLACED_REASON_ENOUGH,
				Message: fmt.Sprintf("model %s has %d copies; %d are needed", mo.id, c.count(), wanted),
			}}
		}
		return Result{}
	}
	if h := c.best(d); h != nil {
		return Result{Placed: &Placed{Host: h.host.ID, Already: true}}
	}
	return Result{}
}

// answer answers those of the model's asks.
func (m *Machine) answer(mo *model, those func(ask) bool, result Result) {
	var ids []AskID
	rest := mo.asks[:0]
	for _, a := range mo.asks {
		if those(a) {
			ids = append(ids, a.id)
		} else {
			rest = append(rest, a)
		}
	}
	clear(mo.asks[len(rest):])
	mo.asks = rest
	if len(rest) == 0 {
		mo.asks = nil
	}
	m.asks -= len(ids)
	if len(ids) > 0 {
		m.emit(Answer{Asks: ids, Result: result})
	}
}

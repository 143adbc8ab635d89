package machine

import (
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// randomMesh does one thing that comes from other hosts.
func (s *sim) randomMesh(name string) {
	s.t.Helper()
	if len(s.offers) > 0 && s.r.IntN(2) == 0 {
		s.answerOffer()
		return
	}
	if s.mesh != nil && s.r.IntN(10) == 0 {
		s.mesh.room = !s.mesh.room
		s.step(MeshChanged{Room: true})
		return
	}
	s.ticket++
	switch n := s.r.IntN(20); {
	case n < 9:
		reserve := Reserve{
			Ticket: s.ticket, Model: name, Purpose: policyabi.Purpose(s.r.IntN(8)), LoadCost: time.Duration(s.r.IntN(2)) * time.Second,
			SizeBytes: int64(s.r.IntN(3) * s.r.IntN(simCapacity)), ExpectsFree: s.r.IntN(2) == 0, Final: s.r.IntN(3) == 0,
		}
		if s.r.IntN(2) == 0 {
			at := s.now.Add(time.Duration(s.r.IntN(60)-50) * time.Second) // Some by a clock that runs ahead.
			reserve.Usage = &modelcache.UsageRecord{At: at, Count: s.r.Float64() * 9, Recent: s.r.Float64()}
		}
		s.asked[s.ticket] = name
		s.step(reserve)
	case n < 12:
		s.asked[s.ticket] = name
		s.step(GiveUp{Ticket: s.ticket, Model: name})
	case n < 14:
		used := Remember{Model: name, LastUsed: s.now.Add(-time.Duration(s.r.IntN(20)) * time.Second), Evicted: s.r.IntN(2) == 0}
		s.step(Remembered{Models: []Remember{used}})
	case n < 15:
		s.leaving = !s.leaving
		s.step(SetDraining{Draining: s.leaving})
	case s.mesh == nil:
	case n < 17:
		k := key(name)
		s.mesh.home[k] = !s.mesh.Home(k, nil)
		s.step(MeshChanged{All: true})
	default:
		k := key(name)
		s.mesh.elsewhere[k] = s.r.IntN(3)
		if s.mesh.elsewhere[k] == 0 {
			s.step(MeshChanged{Uncovered: []string{name}})
		}
	}
}

// answerOffer does with one offer what an arbiter may do; some are answered late, and some never.
func (s *sim) answerOffer() {
	s.t.Helper()
	o := s.offers[0]
	s.offers = s.offers[1:]
	answer := OfferAnswered{Offer: o.ID, RetryAfter: time.Duration(s.r.IntN(5)) * time.Second}
	switch n := s.r.IntN(10); {
	case n < 4:
		s.ticket++
		s.asked[s.ticket] = o.Model
		s.step(Reserve{Ticket: s.ticket, Model: o.Model, Purpose: o.Purpose, SizeBytes: o.Size[modelcache.HostMemory]})
		answer.Placed = true
	case n < 6:
		s.mesh.elsewhere[o.Key] = s.r.IntN(2)
		answer.Placed = true
	case n < 9:
		answer.Reason = peerv1.UnplacedReason(s.r.IntN(9))
	default:
		return
	}
	s.step(answer)
}

// performMesh holds the machine to what it promises arbiters.
func (s *sim) performMesh(effect Effect) {
	s.t.Helper()
	answered := func(ticket TicketID) string {
		name, asked := s.asked[ticket]
		if !asked {
			s.fatalf("answer to %d, which nobody asked or which was answered", ticket)
		}
		delete(s.asked, ticket)
		return name
	}
	switch e := effect.(type) {
	case Reserved:
		name := answered(e.Ticket)
		// What was granted has been published by now.
		p := s.published[name]
		if p.Offered {
			p.State = Absent
		}
		if s.m.models[name] != nil && p.State != e.State {
			s.fatalf("reservation of %s says %v, published is %v", name, e.State, p.State)
		}
		switch {
		case !e.Granted && (e.Reason == 0 || e.Message == ""):
			s.fatalf("reservation of %s refused without a reason", name)
		case e.Granted && (p.State == Absent || p.State == Failed || s.leaving):
			s.fatalf("reservation of %s granted, which is %v, leaving %v", name, p.State, s.leaving)
		}
	case GaveUp:
		name := answered(e.Ticket)
		if mo := s.m.models[name]; e.Released && mo != nil && mo.state == Loaded {
			s.fatalf("gave up %s, which is loaded", name)
		}
	case Offer:
		if s.mesh == nil || !s.mesh.Home(e.Key, nil) || s.mesh.CopiesElsewhere(e.Key) > 0 {
			s.fatalf("%s is offered, though it is another's to see to", e.Model)
		}
		s.offers = append(s.offers, e)
		if most := max(1, s.m.config.Pulls/2); len(s.m.background.out) > most {
			s.fatalf("%d offers are out, of %d at most", len(s.m.background.out), most)
		}
	}
}

// checkTickets holds the machine to its word: whoever is promised a load has one, and nothing is kept for longer.
func (s *sim) checkTickets() {
	s.t.Helper()
	if len(s.asked) > 0 {
		s.fatalf("not answered: %v", s.asked)
	}
	n := 0
	for _, mo := range s.m.models {
		if mo.ticket.valid() {
			n++
			if mo.ticket.holding != (mo.state == Loaded) {
				s.fatalf("%s has a ticket, holds %v, and is %v", mo.id, mo.ticket.holding, mo.state)
			}
		}
		if mo.copy == nil || mo.state != Loaded {
			continue
		}
		leases := 0
		for _, c := range s.leases {
			if c == mo.copy {
				leases++
			}
		}
		if held := mo.copy.Info().InFlight - leases; held > 1 || held < 0 || held == 1 && !mo.ticket.holding {
			s.fatalf("%s is held %d times beyond its requests, ticket %+v", mo.id, held, mo.ticket)
		}
	}
	if n != len(s.m.tickets) {
		s.fatalf("%d models have tickets, %d are on the list", n, len(s.m.tickets))
	}
	for i := 1; i < len(s.m.tickets); i++ {
		if s.m.tickets[i].ticket.expires.Before(s.m.tickets[i-1].ticket.expires) {
			s.fatalf("tickets out of order")
		}
	}
}

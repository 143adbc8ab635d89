package machine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// scriptMesh is what a script says of other hosts.
type scriptMesh struct {
	// home holds false for models whose home is elsewhere.
	home      map[uint64]bool
	elsewhere map[uint64]int
	// room: other hosts may have some.
	room bool
	// oldest is the last use of the least recently used copy of another host, zero for none.
	oldest time.Time
}

func (s *scriptMesh) Home(key uint64, _ []string) bool {
	home, said := s.home[key]
	return home || !said
}

func (s *scriptMesh) CopiesElsewhere(key uint64) int { return s.elsewhere[key] }

func (s *scriptMesh) Room(_ []string, _ modelcache.Resources, _ modelcache.Keep, since time.Time) bool {
	return s.room || !s.oldest.IsZero() && s.oldest.Before(since)
}

// key is the one that a row of a script has.
func key(model string) uint64 { return uint64(modelid.KeyOf("", model)) }

// runMesh runs the commands about other hosts.
func (s *script) runMesh(command string, args []string, opts map[string]string) {
	name := args[0]
	switch command {
	case "mesh": // mesh a [home=here|away] [copies=2]: so it is from now on, without telling
		if opts["home"] != "" {
			s.mesh.home[key(name)] = opts["home"] == "here"
		}
		if opts["copies"] != "" {
			s.mesh.elsewhere[key(name)] = int(s.number(opts["copies"]))
		}
	case "uncovered": // uncovered a b: their last copies elsewhere went
		for _, name := range args {
			s.mesh.elsewhere[key(name)] = 0
		}
		s.step(MeshChanged{Uncovered: args})
	case "room": // room a yes: others may have some from now on, and a host has more than before
		s.mesh.room = args[1] == "yes"
		s.step(MeshChanged{Room: true})
	case "oldest": // oldest 30s: another host has no room, and a copy that was last used so long ago
		s.mesh.oldest = s.now.Add(-s.duration(name))
		s.step(MeshChanged{Room: true})
	case "take": // take a: the arbiter has the offered model placed here
		s.tickets++
		offer := s.offers[name]
		s.step(Reserve{Ticket: s.tickets, Model: name, Purpose: offer.Purpose, SizeBytes: offer.Size[modelcache.HostMemory]})
		s.step(OfferAnswered{Offer: offer.ID, Placed: true})
	case "placed": // placed a: elsewhere, and this host knows of it
		s.mesh.elsewhere[key(name)] = 1
		s.step(OfferAnswered{Offer: s.offers[name].ID, Placed: true})
	case "unplaced": // unplaced a NO_ROOM [again=10s]
		reason := peerv1.UnplacedReason(peerv1.UnplacedReason_value["UNPLACED_REASON_"+args[1]])
		s.step(OfferAnswered{Offer: s.offers[name].ID, Reason: reason, RetryAfter: s.duration(opts["again"])})
	case "homes": // they may have changed
		s.step(MeshChanged{All: true})
	case "reserve": // reserve a miss [free] [final] [size=30] [cost=2s] [used=1m]: used so long ago
		purposes := map[string]policyabi.Purpose{
			"miss": policyabi.PurposeMiss, "scale": policyabi.PurposeScale, "drain": policyabi.PurposeDrain,
			"rebalance": policyabi.PurposeRebalance, "background": policyabi.PurposeBackground,
		}
		s.tickets++
		reserve := Reserve{
			Ticket: s.tickets, Model: name, Purpose: purposes[args[1]], SizeBytes: s.number(opts["size"]), LoadCost: s.duration(opts["cost"]),
			ExpectsFree: slices.Contains(args, "free"), Final: slices.Contains(args, "final"),
		}
		if opts["used"] != "" {
			reserve.Usage = &modelcache.UsageRecord{At: s.now.Add(-s.duration(opts["used"])), Count: 1, Recent: 1}
		}
		s.step(reserve)
	case "give-up":
		s.tickets++
		s.step(GiveUp{Ticket: s.tickets, Model: name})
	case "leave", "stay":
		s.step(SetDraining{Draining: command == "leave"})
	case "join": // join a 1
		s.step(Wanted{Model: name, Waiter: WaiterID(s.number(args[1])), Join: true})
	case "remember": // remember a used=1m [size=30] [cost=2s]
		s.step(Remembered{Models: []Remember{{
			Model: name, Key: key(name), LastUsed: s.now.Add(-s.duration(opts["used"])), LoadCost: s.duration(opts["cost"]),
			Size: modelcache.Resources{s.number(opts["size"])},
		}}})
	}
}

func (s *script) describeMesh(effect Effect) string {
	switch e := effect.(type) {
	case Reserved:
		if e.Granted {
			return fmt.Sprintf("granted %d for %v, %v", e.Ticket, e.TTL, e.State)
		}
		failed := ""
		if e.Failure != nil {
			failed = fmt.Sprintf(" after failure %d", e.Failure.Attempts)
		}
		return fmt.Sprintf("refused %d, %v%s: %s: %s", e.Ticket, e.State, failed, unplaced(e.Reason), e.Message)
	case GaveUp:
		return strings.TrimSuffix(fmt.Sprintf("gave up %d %v: %s", e.Ticket, e.Released, e.Message), ": ")
	case Remember:
		if s.mesh == nil {
			return ""
		}
		used := "never used"
		if !e.Usage.At.IsZero() {
			used = fmt.Sprintf("used %.3g times until %v", e.Usage.Count, e.Usage.At.Sub(s.start))
		}
		why := ""
		if e.Evicted {
			why = ", evicted"
		}
		return fmt.Sprintf("remember %s (%d), %s, cost %v%s", e.Model, e.Size[modelcache.HostMemory], used, e.LoadCost, why)
	case Offer:
		s.offers[e.Model] = e
		return fmt.Sprintf("offer %s (%d) for %v", e.Model, e.Size[modelcache.HostMemory], e.Purpose)
	}
	s.t.Fatalf("unknown effect %T", effect)
	return ""
}

func unplaced(r peerv1.UnplacedReason) string {
	return strings.ToLower(strings.TrimPrefix(r.String(), "UNPLACED_REASON_"))
}

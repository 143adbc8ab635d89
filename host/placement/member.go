package placement

import "github.com/wasmesh/wasmesh/host/members"

// FromMember is a member of the mesh with these figures, its own or newer ones, as a candidate for a model of these
// ServingRuntimes, most preferred first. What depends on the model itself (Excluded, HasCopy) is the caller's to say.
func FromMember(m *members.Member, f *members.Figures, runtimes []string) Host {
	return Host{
		ID: m.ID, Key: m.Key(), Zone: m.Zone, Free: f.Free, Capacity: f.Capacity, Reclaim: f.Reclaim, Oldest: f.Oldest, Started: m.Started,
		LoadsQueued: f.LoadsQueued, LoadsRunning: f.LoadsRunning, InFlight: f.InFlight, Copies: f.Copies, Rate: f.Rate,
		Draining: m.Draining, Warming: m.Warming, Preferred: len(runtimes) > 0 && m.Runtime == runtimes[0],
	}
}

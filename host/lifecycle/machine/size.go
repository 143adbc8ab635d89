package machine

import (
	"math"

	"github.com/wasmesh/wasmesh/host/modelcache"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// learned is what a model took when it was last loaded here, and how many bytes it had on disk then: other bytes are
// another size.
type learned struct {
	memory, disk int64
}

// anyBytes is the disk size of what was learned elsewhere.
const anyBytes = -1

// sizeKnown reports whether an attempt may start: the model has been loaded here, or storage has been asked since its
// last failure. A declared size alone is not enough, for the listing finds a missing path or a wrong key before a victim
// goes for it.
func (m *Machine) sizeKnown(mo *model) bool {
	return mo.estimate.known || mo.trouble.last == nil && mo.trouble.attempts == 0 && m.history.Contains(mo.id)
}

// need is what a copy is expected to take: declared, else learned here, else the bytes on storage and some.
func (m *Machine) need(mo *model) modelcache.Resources {
	return m.needOf(mo, mo.estimate.bytes, !mo.estimate.known)
}

// needOnDisk is what is expected once the artifact is here.
func (m *Machine) needOnDisk(mo *model) modelcache.Resources {
	return m.needOf(mo, mo.load.artifact.Bytes, false)
}

// needOf trusts what was learned if it is of as many bytes, or when nobody knows the bytes.
func (m *Machine) needOf(mo *model, bytes int64, unknown bool) modelcache.Resources {
	need := fromProto(mo.row.GetSizeHint())
	if need[modelcache.HostMemory] > 0 {
		return need
	}
	if past, ok := m.history.Get(mo.id); ok && (unknown || past.disk == bytes || past.disk == anyBytes) {
		need[modelcache.HostMemory] = past.memory
	} else {
		need[modelcache.HostMemory] = m.inMemory(bytes)
	}
	return need
}

// needLoaded is what the loaded copy takes: declared, else reported by the runtime, else as expected.
func (m *Machine) needLoaded(mo *model, reported int64) modelcache.Resources {
	need := m.needOnDisk(mo)
	if !mo.declared() && reported > 0 {
		need[modelcache.HostMemory] = reported
	}
	return need
}

// inMemory is the usual rule of thumb for the memory of a model of so many bytes, ModelMesh's too: a quarter more.
func (m *Machine) inMemory(bytes int64) int64 {
	switch {
	case bytes <= 0:
		return max(m.runtime.limits.DefaultModelBytes, 1)
	case bytes > math.MaxInt64/5*4:
		return math.MaxInt64
	}
	return bytes + (bytes+3)/4
}

// forgetSize has storage asked again before the next attempt.
func (m *Machine) forgetSize(mo *model) {
	mo.estimate = estimate{}
	m.history.Remove(mo.id)
}

// fromProto reads amounts from the wire, where they are unsigned; what is out of range never fits anyhow.
func fromProto(r *syncv1.Resources) modelcache.Resources {
	signed := func(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
	return modelcache.Resources{
		modelcache.HostMemory:   signed(r.GetHostMemoryBytes()),
		modelcache.DeviceMemory: signed(r.GetDeviceMemoryBytes()),
		modelcache.Slots:        signed(r.GetSlots()),
	}
}

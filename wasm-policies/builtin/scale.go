package builtin

import "github.com/wasmesh/wasmesh/sdk/policyabi"

// blockBytes is the unit of scale, and the least that a copy counts for.
const blockBytes = 1 << 14

// maxBlocks bounds what a copy counts for: 2^60 bytes.
const maxBlocks = 1 << 46

// scale turns what a copy takes into one number, which is positive: blocks of the first capacity that is counted, memory
// before device, or what would be as large a share of it as the copy has of another. So whatever is scarce counts.
type scale struct {
	memory, device, slots int64 // capacities; 0 and less are not counted
	blocks                int64 // of the capacity that is the measure
}

func scaleOf(c policyabi.EvictContextView) scale {
	s := scale{memory: c.CapacityMemory(), device: c.CapacityDevice(), slots: c.CapacitySlots()}
	switch {
	case s.memory > 0:
		s.blocks = blocksOf(s.memory)
	case s.device > 0:
		s.blocks = blocksOf(s.device)
	case s.slots > 0:
		s.blocks = whole
	}
	return s
}

// of answers what a copy takes. Without any capacity its memory is all there is to go by.
func (s scale) of(row policyabi.EvictRowView) int64 {
	if s.blocks == 0 {
		return blocksOf(row.SizeMemory())
	}
	blocks := int64(1)
	if s.memory > 0 {
		blocks = blocksOf(row.SizeMemory())
	}
	if s.device > 0 && s.memory <= 0 {
		blocks = blocksOf(row.SizeDevice())
	} else if s.device > 0 {
		blocks = max(blocks, share(row.SizeDevice(), s.device)*s.blocks/whole)
	}
	if s.slots > 0 {
		blocks = max(blocks, share(row.SizeSlots(), s.slots)*s.blocks/whole)
	}
	return blocks
}

// blocksOf rounds up, to one at least.
func blocksOf(bytes int64) int64 {
	blocks := min(max(bytes, 1), maxBlocks*blockBytes)
	return (blocks + blockBytes - 1) / blockBytes
}

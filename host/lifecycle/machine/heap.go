package machine

import "container/heap"

// kind of a modelHeap: each model keeps its place in one heap of each kind.
type kind int

const (
	byDue kind = iota
	unsized
	sized
	standby
	offers
	kinds
)

// modelHeap is a priority queue of models from which one can be taken out of the middle.
type modelHeap struct {
	kind   kind
	before func(a, b *model) bool
	models []*model
}

// add puts a model where it belongs; one that is in the heap already is moved.
func (h *modelHeap) add(mo *model) {
	if h.has(mo) {
		heap.Fix((*heapOps)(h), mo.places[h.kind]-1)
		return
	}
	heap.Push((*heapOps)(h), mo)
}

func (h *modelHeap) remove(mo *model) {
	if h.has(mo) {
		heap.Remove((*heapOps)(h), mo.places[h.kind]-1)
	}
}

// pop takes the first out; nil when there is none.
func (h *modelHeap) pop() *model {
	if len(h.models) == 0 {
		return nil
	}
	mo, _ := heap.Pop((*heapOps)(h)).(*model)
	return mo
}

func (h *modelHeap) first() *model {
	if len(h.models) == 0 {
		return nil
	}
	return h.models[0]
}

func (h *modelHeap) has(mo *model) bool { return mo.places[h.kind] != 0 }

func (h *modelHeap) len() int { return len(h.models) }

// heapOps is what container/heap asks for, kept away from the other methods.
type heapOps modelHeap

func (h *heapOps) Len() int           { return len(h.models) }
func (h *heapOps) Less(i, j int) bool { return h.before(h.models[i], h.models[j]) }

func (h *heapOps) Swap(i, j int) {
	h.models[i], h.models[j] = h.models[j], h.models[i]
	h.models[i].places[h.kind] = i + 1
	h.models[j].places[h.kind] = j + 1
}

func (h *heapOps) Push(x any) {
	mo, _ := x.(*model)
	h.models = append(h.models, mo)
	mo.places[h.kind] = len(h.models)
}

func (h *heapOps) Pop() any {
	last := len(h.models) - 1
	mo := h.models[last]
	h.models[last] = nil
	h.models = h.models[:last]
	mo.places[h.kind] = 0
	return mo
}

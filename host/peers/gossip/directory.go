package gossip

import "sync"

// Events hear of hosts, one call at a time, with memberlist's lock held.
type Events interface {
	// Listed: this is the newest start of its id that gossip knows to be alive. Again when that, or anything that it
	// says of itself, changes.
	Listed(Node)
	// Unlisted: the last of this id has left or is dead.
	Unlisted(id string)
	// Superseded: a newer start of this host's own id is alive.
	Superseded(by Node)
}

// directory is which nodes are alive, by id. Writers are memberlist's delegates, which never run concurrently; the lock
// is for readers.
type directory struct {
	mu     sync.Mutex
	self   Node
	byID   map[string]map[string]Node // id, name
	nodes  int
	events Events
}

func newDirectory(self Node, events Events) *directory {
	return &directory{self: self, byID: map[string]map[string]Node{}, events: events}
}

func (d *directory) best(id string) (best Node, ok bool) {
	for _, n := range d.byID[id] {
		if !ok || n.NewerThan(best) {
			best, ok = n, true
		}
	}
	return best, ok
}

// alive puts a node in, or what it now says.
func (d *directory) alive(n Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, listed := d.best(n.ID)
	nodes := d.byID[n.ID]
	if nodes == nil {
		nodes = map[string]Node{}
		d.byID[n.ID] = nodes
	}
	if _, ok := nodes[n.Name]; !ok {
		d.nodes++
	}
	nodes[n.Name] = n
	d.tell(n.ID, before, listed)
}

// gone takes a node out.
func (d *directory) gone(id, name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	nodes := d.byID[id]
	if _, ok := nodes[name]; !ok {
		return
	}
	before, listed := d.best(id)
	delete(nodes, name)
	d.nodes--
	if len(nodes) == 0 {
		delete(d.byID, id)
	}
	d.tell(id, before, listed)
}

func (d *directory) tell(id string, before Node, listed bool) {
	now, ok := d.best(id)
	switch {
	case id == d.self.ID:
		if ok && now.NewerThan(d.self) {
			d.events.Superseded(now)
		}
	case !ok:
		d.events.Unlisted(id)
	case !listed || now != before:
		d.events.Listed(now)
	}
}

func (d *directory) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.nodes
}

func (d *directory) has(n Node) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.byID[n.ID][n.Name]
	return ok
}

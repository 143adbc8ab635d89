package live

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// plan is what a seed stands for.
type plan struct {
	seed     uint64
	calm     bool
	hosts    int
	capacity int64
	models   []model
	clients  int
	steps    []step
	// slots counts all hosts that there ever are.
	slots int
}

// step is something that happens at a time.
type step struct {
	at   time.Duration
	what string
	do   func(w *world)
}

func (p *plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, calm %v: %d hosts of %d MiB, %d clients, models", p.seed, p.calm, p.hosts, p.capacity/megabyte, p.clients)
	for _, m := range p.models {
		fmt.Fprintf(&b, " %s:%d", m.id, m.size/megabyte)
		if m.minCopies > 0 {
			fmt.Fprintf(&b, "(min %d)", m.minCopies)
		}
	}
	for _, s := range p.steps {
		fmt.Fprintf(&b, "\n%8v %s", s.at, s.what)
	}
	return b.String()
}

const (
	// chaos is how long things happen, settling how long hosts have afterwards to agree.
	chaos    = 25 * time.Second
	settling = 40 * time.Second
)

func slotID(n int) string { return fmt.Sprintf("host-%d", n) }
func slotIP(n int) string { return fmt.Sprintf("10.0.0.%d", n) }

// draw makes the plan of a seed.
func draw(seed uint64) *plan {
	dice := rand.New(rand.NewPCG(seed, 1))
	p := &plan{seed: seed, calm: seed%5 == 0, hosts: 4 + dice.IntN(3), clients: 3 + dice.IntN(4)}
	p.slots = p.hosts
	p.capacity = int64(24+8*dice.IntN(4)) * megabyte
	for i := range 8 + dice.IntN(10) {
		m := model{id: fmt.Sprintf("m%d", i), size: int64(5*(1+dice.IntN(4))) * megabyte}
		if dice.IntN(6) == 0 {
			m.minCopies = 2
		}
		p.models = append(p.models, m)
	}
	d := &drawing{plan: p, dice: dice}
	kinds := []func(time.Duration){d.drain, d.join, d.burst, d.model}
	if !p.calm {
		kinds = append(kinds, d.kill, d.kill, d.split, d.split, d.twoArbiters, d.slow, d.lossy, d.crash, d.crash, d.poison, d.reject,
			d.disk, d.namesake, d.silence)
	}
	for range 4 + dice.IntN(5) {
		kinds[dice.IntN(len(kinds))](2*time.Second + time.Duration(dice.IntN(int(chaos-4*time.Second))).Round(time.Millisecond))
	}
	slices.SortStableFunc(p.steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	return p
}

// drawing adds steps to a plan.
type drawing struct {
	*plan
	dice *rand.Rand
}

func (d *drawing) step(at time.Duration, do func(w *world), format string, args ...any) {
	d.steps = append(d.steps, step{at, fmt.Sprintf(format, args...), do})
}

// while draws how long something lasts.
func (d *drawing) while(least, most time.Duration) time.Duration {
	return least + time.Duration(d.dice.Int64N(int64(most-least))).Round(time.Millisecond)
}

func (d *drawing) slot() int { return 1 + d.dice.IntN(d.slots) }

func (d *drawing) anyModel() model { return d.models[d.dice.IntN(len(d.models))] }

// kill: nothing of the host is left but, sometimes, its inference server. It may come back.
func (d *drawing) kill(at time.Duration) {
	n, keeps, back := d.slot(), d.dice.IntN(2) == 0, d.dice.IntN(4) > 0
	id := slotID(n)
	d.step(at, func(w *world) {
		if h := w.host(id); h != nil {
			if !keeps {
				h.port.crash()
			}
			h.kill()
		}
	}, "%s is killed; its inference server lives: %v", id, keeps)
	if back {
		d.restart(at+d.while(50*time.Millisecond, 10*time.Second), n)
	}
}

// restart brings a host back that has ended, with a higher epoch.
func (d *drawing) restart(at time.Duration, n int) {
	shy := d.dice.IntN(2) == 0
	d.step(at, func(w *world) {
		if h := w.host(slotID(n)); h != nil && h.ending.Load() {
			<-h.gone
			h.port.revive()
			w.add(h.id, slotIP(n), h.port.server, shy)
		}
	}, "%s starts again; others are not told: %v", slotID(n), shy)
}

// drain: the host hands its copies over and leaves. It may come back.
func (d *drawing) drain(at time.Duration) {
	n, handOver := d.slot(), d.calm || d.dice.IntN(3) > 0
	d.step(at, func(w *world) {
		if h := w.host(slotID(n)); h != nil && h.ready.Load() && len(w.serving()) > 2 {
			h.stop(handOver)
		}
	}, "%s leaves; it hands its copies over: %v", slotID(n), handOver)
	if d.dice.IntN(3) > 0 {
		d.restart(at+d.while(5*time.Second, 15*time.Second), n)
	}
}

func (d *drawing) join(at time.Duration) {
	d.slots++
	n, shy := d.slots, d.dice.IntN(2) == 0
	d.step(at, func(w *world) {
		w.add(slotID(n), slotIP(n), newServer(w, slotID(n), d.capacity), shy)
	}, "%s joins; others are not told: %v", slotID(n), shy)
}

func (d *drawing) burst(at time.Duration) {
	m, n := d.anyModel(), 10+d.dice.IntN(40)
	d.step(at, func(w *world) { w.burst(m, n) }, "%d requests at once for %s", n, m.id)
}

// model: the catalog gets another, of which hosts hear sooner or later.
func (d *drawing) model(at time.Duration) {
	m := model{id: fmt.Sprintf("new%d", len(d.steps)), size: 10 * megabyte}
	late := d.while(time.Millisecond, 3*time.Second)
	d.step(at, func(w *world) {
		w.mu.Lock()
		w.models = append(w.models, m)
		w.version++
		w.mu.Unlock()
		table := w.table()
		for i, h := range w.living() {
			w.tasks.Go(func() {
				pause(h.ctx, time.Duration(i)*late/4)
				if err := h.learn(table, w.rows()); err != nil && !h.ending.Load() {
					w.wrong("%s does not take its catalog: %v", h, err)
				}
			})
		}
	}, "the catalog gets %s, which the hosts hear of within %v", m.id, late)
}

// split cuts the hosts in two.
func (d *drawing) split(at time.Duration) {
	var one, other []string
	for n := range d.slots {
		if d.dice.IntN(2) == 0 {
			one = append(one, slotIP(n+1))
		} else {
			other = append(other, slotIP(n+1))
		}
	}
	d.cut(at, one, other, "the network falls apart")
}

// silence cuts one host from all others.
func (d *drawing) silence(at time.Duration) {
	n := d.slot()
	var others []string
	for other := range d.slots {
		if other+1 != n {
			others = append(others, slotIP(other+1))
		}
	}
	d.cut(at, []string{slotIP(n)}, others, slotID(n)+" falls silent")
}

func (d *drawing) cut(at time.Duration, one, other []string, what string) {
	d.step(at, func(w *world) { w.network.Split(one, other) }, "%s: %v from %v", what, one, other)
	d.step(at+d.while(500*time.Millisecond, 15*time.Second), func(w *world) {
		for _, a := range one {
			for _, b := range other {
				w.network.Heal(a, b)
			}
		}
	}, "that cut is healed: %v from %v", one, other)
}

// twoArbiters cuts two hosts from each other that all others see, and asks both at once for what each may place.
func (d *drawing) twoArbiters(at time.Duration) {
	a := d.slot()
	b := a%d.slots + 1
	d.cut(at, []string{slotIP(a)}, []string{slotIP(b)}, "two do not see each other")
	m := d.anyModel()
	d.step(at+2*time.Second, func(w *world) {
		var both sync.WaitGroup
		for _, n := range []int{a, b} {
			if h := w.host(slotID(n)); h != nil && h.ready.Load() {
				both.Go(func() { w.ask(h, m, 20*time.Second, time.Millisecond) })
			}
		}
		both.Wait()
	}, "%s and %s are asked for %s at once", slotID(a), slotID(b), m.id)
}

func (d *drawing) slow(at time.Duration) {
	ip, delay := slotIP(d.slot()), d.while(5*time.Millisecond, 400*time.Millisecond)
	d.step(at, func(w *world) { w.weather.set(func() { w.weather.slow[ip] = delay }) }, "the lines of %s are slow: %v", ip, delay)
	d.step(at+d.while(time.Second, 10*time.Second), func(w *world) { w.weather.set(func() { delete(w.weather.slow, ip) }) }, "the lines of %s are good again", ip)
}

func (d *drawing) lossy(at time.Duration) {
	loss := 0.2 + 0.8*d.dice.Float64()
	d.step(at, func(w *world) { w.weather.set(func() { w.weather.loss = loss }) }, "%.0f %% of gossip is lost", 100*loss)
	d.step(at+d.while(time.Second, 15*time.Second), func(w *world) { w.weather.set(func() { w.weather.loss = 0 }) }, "gossip arrives again")
}

func (d *drawing) crash(at time.Duration) {
	id := slotID(d.slot())
	d.server(at, id, (*server).crash, "the inference server of %s crashes", id)
	d.server(at+d.while(50*time.Millisecond, 10*time.Second), id, (*server).revive, "the inference server of %s is back", id)
}

func (d *drawing) reject(at time.Duration) {
	id, loads := slotID(d.slot()), 1+d.dice.IntN(3)
	d.server(at, id, func(s *server) {
		s.world.mu.Lock()
		s.world.rejected = true
		s.world.mu.Unlock()
		s.rejectNext(loads)
	}, "the next %d loads on %s fail", loads, id)
}

func (d *drawing) server(at time.Duration, id string, do func(*server), format string, args ...any) {
	d.step(at, func(w *world) {
		if h := w.host(id); h != nil {
			do(h.port.server)
		}
	}, format, args...)
}

func (d *drawing) poison(at time.Duration) {
	m := d.anyModel()
	poison := func(is bool) func(w *world) {
		return func(w *world) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.poison[m.id] = is
		}
	}
	d.step(at, poison(true), "%s fails to load everywhere", m.id)
	d.step(at+d.while(2*time.Second, 10*time.Second), poison(false), "%s loads again", m.id)
}

func (d *drawing) disk(at time.Duration) {
	pulls := func(t time.Duration) func(w *world) {
		return func(w *world) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.pulls = t
		}
	}
	t := d.while(time.Second, 6*time.Second)
	d.step(at, pulls(t), "storage takes %v for each model", t)
	d.step(at+d.while(time.Second, 10*time.Second), pulls(50*time.Millisecond), "storage is quick again")
}

// namesake: a second host of one id. The later start lives, be it the one that was there or the one that came.
func (d *drawing) namesake(at time.Duration) {
	n := d.slot()
	ip := fmt.Sprintf("10.0.1.%d", len(d.steps))
	d.step(at, func(w *world) {
		if h := w.host(slotID(n)); h != nil && !h.ending.Load() {
			w.add(h.id, ip, newServer(w, h.id+"'s namesake", d.capacity), false)
		}
	}, "another %s starts at %s", slotID(n), ip)
}

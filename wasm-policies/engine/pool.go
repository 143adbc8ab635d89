package engine

import (
	"slices"
	"time"
)

const (
	// acquireWait is how long a caller waits for an instance: a decision must not queue behind a policy.
	acquireWait = 200 * time.Microsecond
	maxWaiters  = 256

	firstRetry, lastRetry = time.Second, time.Minute
)

// Acquire takes an instance for the caller alone, and a reference to the program with it; Instance.Release gives both
// back. If all are in use it waits for at most 200 us. Errors: ErrBusy, ErrClosed.
func (p *Program) Acquire() (*Instance, error) {
	p.mu.Lock()
	if p.owners == 0 {
		p.mu.Unlock()
		return nil, ErrClosed
	}
	if last := len(p.free) - 1; last >= 0 {
		instance := p.free[last]
		p.free = p.free[:last]
		p.owners++
		p.mu.Unlock()
		instance.held = true
		return instance, nil
	}
	if len(p.waiting) >= maxWaiters {
		p.mu.Unlock()
		return nil, ErrBusy
	}
	p.owners++
	ready := make(chan *Instance, 1)
	p.waiting = append(p.waiting, ready)
	p.growIfWorthwhile()
	p.mu.Unlock()
	return p.await(ready)
}

// await takes what is handed over through ready, or gives up.
func (p *Program) await(ready chan *Instance) (*Instance, error) {
	timer := time.NewTimer(acquireWait)
	defer timer.Stop()
	var instance *Instance
	select {
	case instance = <-ready:
	case <-timer.C:
		p.mu.Lock()
		at := slices.Index(p.waiting, ready)
		if at >= 0 {
			p.waiting = slices.Delete(p.waiting, at, at+1)
			last := p.leave()
			p.mu.Unlock()
			if last {
				p.close()
			}
			return nil, ErrBusy
		}
		p.mu.Unlock()
		instance = <-ready // It was handed over meanwhile.
	}
	instance.held = true
	return instance, nil
}

// put makes an instance available: to who waits longest, else to the pool. The caller holds p.mu.
func (p *Program) put(instance *Instance) {
	if len(p.waiting) > 0 {
		p.waiting[0] <- instance // Has room for the one that it ever gets.
		p.waiting = slices.Delete(p.waiting, 0, 1)
		return
	}
	p.free = append(p.free, instance)
}

// giveBack returns an acquired instance and its reference.
func (p *Program) giveBack(instance *Instance) {
	p.mu.Lock()
	p.put(instance)
	last := p.leave()
	p.mu.Unlock()
	if last {
		p.close()
	}
}

// discard drops an acquired instance and its reference. It has already been closed.
func (p *Program) discard(failed bool) {
	p.mu.Lock()
	p.live--
	if failed {
		p.stats.Discarded++
	} else {
		p.stats.Recycled++
	}
	if p.live < p.keep || len(p.waiting) > 0 {
		p.growIfWorthwhile()
	}
	last := p.leave()
	p.mu.Unlock()
	if last {
		p.close()
	}
}

// growIfWorthwhile starts to make an instance, off the caller's path, unless one is being made, there are enough, or the
// last attempt has just failed. The caller holds p.mu and a reference.
func (p *Program) growIfWorthwhile() {
	if p.growing || p.live >= p.engine.limits.Instances || p.failures > 0 && time.Now().Before(p.retryAt) {
		return
	}
	if !p.engine.start() {
		return
	}
	p.growing = true
	p.owners++ // The goroutine's.
	p.live++
	go p.grow()
}

// grow makes instances while somebody waits for one, or there are fewer than are to be kept.
func (p *Program) grow() {
	defer p.engine.growing.Done()
	for {
		err := p.add()
		p.mu.Lock()
		if err == nil && (len(p.waiting) > 0 || p.live < p.keep) && p.live < p.engine.limits.Instances {
			p.live++
			p.mu.Unlock()
			continue
		}
		p.growing = false
		last := p.leave()
		p.mu.Unlock()
		if err != nil {
			p.engine.logger.Warn("make an instance of a policy", "policy", p.name, "generation", p.id, "error", err)
		}
		if last {
			p.close()
		}
		return
	}
}

// add makes an instance that the caller, who has a reference, has counted in live.
func (p *Program) add() error {
	instance, err := p.instantiate()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.live--
		p.stats.Failed++
		p.retryAt = time.Now().Add(min(firstRetry<<min(p.failures, 10), lastRetry))
		p.failures++
		return err
	}
	p.failures = 0
	p.stats.Made++
	p.put(instance)
	return nil
}

// Warm makes as many instances as there may be, and has the program keep so many from now on. An instance of a Go guest
// takes milliseconds to make, and Acquire waits for 200 us: a program that is not warm leaves its first decisions to others.
// Call it off the hot path, before the program decides. An error says that an instance could not be made; those that there
// are stay.
func (p *Program) Warm() error {
	if !p.Retain() {
		return ErrClosed
	}
	defer p.Release()
	if !p.engine.start() {
		return ErrClosed
	}
	defer p.engine.growing.Done()
	p.mu.Lock()
	p.keep = p.engine.limits.Instances
	for p.live < p.keep {
		p.live++
		p.mu.Unlock()
		if err := p.add(); err != nil {
			return err
		}
		p.mu.Lock()
	}
	p.mu.Unlock()
	return nil
}

// first makes the instance that shows that the module works.
func (p *Program) first() error {
	instance, err := p.instantiate()
	if err != nil {
		return err
	}
	p.info.ABIMajor, p.info.ABIMinor = instance.abiMajor, instance.abiMinor
	p.mu.Lock()
	p.live, p.keep, p.stats.Made = 1, 1, 1
	p.put(instance)
	p.mu.Unlock()
	return nil
}

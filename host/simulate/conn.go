package simulate

// conn is the connection from one host to another over which the first follows the second's residency and calls it. There
// is one for each pair and direction, which is open or not; a number tells one time of being open from another.
type conn struct {
	world    *World
	from, to *host
	// number grows whenever it opens or breaks. What belongs to an earlier one is stale.
	number uint64
	open   bool
	// dialing: an attempt is under way.
	dialing bool
	// synced: the snapshot has been taken in, so that the other host is live.
	synced bool
	// sent is the sequence that the owner has sent up to.
	sent  uint64
	calls []*call
}

// call is one question to another host.
type call struct {
	conn *conn
	done func(answer any, err error)
}

// dial tries to open the connection, and again until it stands.
func (c *conn) dial() {
	if c.open || c.dialing || !c.from.up {
		return
	}
	c.dialing = true
	number := c.number
	c.from.plan(dialTimeout, func() {
		if c.number == number && c.dialing {
			c.dialing = false
			c.dial()
		}
	})
	c.world.network.send(c.from, c.to, func() { c.accept(number) })
}

// accept is the other side's part.
func (c *conn) accept(number uint64) {
	if c.number != number || !c.dialing {
		return
	}
	if !c.to.up {
		// Refused: there is a machine, and nobody listens.
		c.world.network.send(c.to, c.from, func() {
			if c.number == number && c.dialing {
				c.dialing = false
				c.from.plan(dialPause, c.dial)
			}
		})
		return
	}
	c.to.run(c.to.life, func() {
		if c.number != number || !c.dialing {
			return
		}
		c.dialing, c.open = false, true
		c.number++
		c.to.peers.follow(c)
	})
}

// lose breaks the connection: both sides hear of it as soon as they are able to.
func (c *conn) lose() {
	if !c.open && !c.dialing {
		return
	}
	wasOpen, wasSynced := c.open, c.synced
	c.open, c.dialing, c.synced = false, false, false
	c.number++
	calls := c.calls
	c.calls = nil
	if wasOpen && c.to.peers != nil {
		c.to.peers.unfollow(c)
	}
	if !c.from.up {
		return
	}
	c.from.run(c.from.life, func() {
		for _, call := range calls {
			call.end(nil, errLost)
		}
		if wasOpen && wasSynced {
			c.from.peers.lost(c.to)
		}
	})
	c.from.plan(dialPause, c.dial)
}

// retire has this side take the other for gone, at its own word: nothing new is sent there, and what is under way ends.
func (c *conn) retire() {
	number := c.number
	c.world.network.send(c.to, c.from, func() {
		c.from.run(c.from.life, func() {
			if c.number == number && c.synced {
				c.synced = false
				c.from.peers.lost(c.to)
			}
		})
	})
}

// deliver sends something over the standing connection; back says in which direction.
func (c *conn) deliver(back bool, arrive func()) {
	number, from, to := c.number, c.from, c.to
	if back {
		from, to = to, from
	}
	c.world.network.send(from, to, func() {
		if c.open && c.number == number && to.up {
			to.run(to.life, func() {
				if c.number == number {
					arrive()
				}
			})
		}
	})
}

// ask calls the other host. serve runs there and answers at most once; done runs here at most once: with the answer, with
// an error when the connection breaks, and not at all when this host dies or the call is given up (drop).
func (c *conn) ask(serve func(answer func(any)), done func(any, error)) *call {
	asked := &call{conn: c, done: done}
	if !c.open || !c.synced {
		c.from.plan(0, func() { asked.end(nil, errLost) })
		return asked
	}
	c.calls = append(c.calls, asked)
	number := c.number
	c.deliver(false, func() {
		serve(func(answer any) {
			if c.number == number { // Else nobody listens any more.
				c.deliver(true, func() { asked.end(answer, nil) })
			}
		})
	})
	return asked
}

// end answers whoever asked, if he still listens.
func (a *call) end(answer any, err error) {
	if a.done == nil {
		return
	}
	done := a.done
	a.drop()
	done(answer, err)
}

// drop gives the call up.
func (a *call) drop() {
	a.done = nil
	for i, other := range a.conn.calls {
		if other == a {
			last := len(a.conn.calls) - 1
			a.conn.calls[i], a.conn.calls[last] = a.conn.calls[last], nil
			a.conn.calls = a.conn.calls[:last]
			return
		}
	}
}

package syncserver

import "time"

// forgetLongestGone keeps the number of disconnected hosts within its bound. The caller holds the lock.
func (s *Server) forgetLongestGone() {
	var longest HostKey
	gone := 0
	for key, h := range s.hosts {
		if h.stream != nil {
			continue
		}
		gone++
		if l := s.hosts[longest]; l == nil || h.goneAt.Before(l.goneAt) {
			longest = key
		}
	}
	if gone > maxDisconnected {
		delete(s.hosts, longest)
	}
}

// forgetGone forgets the hosts that have been without a stream for forgetGoneAfter. The caller holds the lock.
func (s *Server) forgetGone(now time.Time) {
	if s.forgetAt.IsZero() || now.Before(s.forgetAt) {
		return
	}
	s.forgetAt = time.Time{}
	forgotten := false
	for key, h := range s.hosts {
		if h.stream != nil {
			continue
		}
		if due := h.goneAt.Add(forgetGoneAfter); now.Before(due) {
			s.forgetNoLaterThan(due)
			continue
		}
		delete(s.hosts, key)
		forgotten = true
	}
	if forgotten {
		s.hostsNumber++
		s.wakeAll()
		signal(s.changed)
	}
}

// forgetNoLaterThan has forgetGone look then. The caller holds the lock.
func (s *Server) forgetNoLaterThan(due time.Time) {
	if s.forgetAt.IsZero() || due.Before(s.forgetAt) {
		s.forgetAt = due
	}
}

// empty lets go of what a host that does not come back held; should it come, it says all of it again. The caller holds the
// lock.
func (h *host) empty() {
	h.Copies, h.shared, h.Load, h.Demands = nil, false, nil, nil
}

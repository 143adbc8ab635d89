package placement

import (
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/test/bench/eviction"
)

// Lag is how old what hosts know of each other is. The zero Lag is none at all.
type Lag struct {
	// Survey is how often a host looks at what its copies are worth; Publish is how often it tells the others, if anything
	// has changed. Zero: with every change.
	Survey, Publish time.Duration
	// Delay is how long the message takes.
	Delay time.Duration
}

// Shipped is the lag of a mesh in one data centre: the pace of host/lifecycle and of the links between hosts, and what a
// message takes there at most.
func Shipped() Lag {
	return Lag{Survey: time.Second, Publish: 500 * time.Millisecond, Delay: time.Millisecond}
}

// How often a host looks at what its copies are worth although none came or went: as host/lifecycle/machine does.
const (
	surveyUsed    = 10 * time.Second
	surveyAtLeast = time.Minute
)

// node is one host, and what it last said.
type node struct {
	*eviction.Host
	member members.Member
	lag    Lag

	// changed: copies came or went since the last survey; used: requests came.
	changed, used bool
	surveyed      time.Time
	reclaim       modelcache.Curve
	rate          uint64
	sequence      uint64

	nextSurvey, nextPublish time.Time
	said                    members.Figures
	// loading is when the loads that others are told of end.
	loading []time.Time
	// known is what all hosts have of this one.
	known members.Figures
}

// newNode makes the host of that number. Hosts do not look at the same moments.
func newNode(h *eviction.Host, member members.Member, number int, m *mesh) *node {
	n := &node{Host: h, member: member, lag: m.config.Lag}
	n.nextSurvey = m.now.Add(n.surveyPeriod() * time.Duration(number) / time.Duration(m.config.Hosts))
	n.nextPublish = m.now.Add(n.lag.Publish * time.Duration(number) / time.Duration(m.config.Hosts))
	n.Pass(m.now)
	n.known = n.figures(m.now)
	n.said = n.known
	return n
}

// surveyPeriod: how use changes what copies are worth is never looked at more than once in a second.
func (n *node) surveyPeriod() time.Duration { return max(n.lag.Survey, time.Second) }

// figures are the host's as of now, what copies are worth as of the last survey.
func (n *node) figures(now time.Time) members.Figures {
	n.sequence++
	n.loading = slices.DeleteFunc(n.loading, func(end time.Time) bool { return !end.After(now) })
	return members.Figures{
		Sequence: n.sequence, Free: n.Ledger().Free(), Capacity: n.Ledger().Capacity(), Reclaim: n.reclaim, Oldest: n.Oldest(),
		Copies: n.Copies(), Rate: n.rate, LoadsRunning: len(n.loading),
	}
}

// survey looks at what the copies are worth.
func (n *node) survey() (err error) {
	n.changed, n.used = false, false
	n.reclaim, n.rate, err = n.Survey(0)
	return err
}

// due says whether there is anything to look at.
func (n *node) due(now time.Time) bool {
	pause := now.Sub(n.surveyed)
	return n.changed || n.used && pause >= surveyUsed || pause >= surveyAtLeast
}

// publish tells the others, if anything has changed.
func (n *node) publish(m *mesh) error {
	if n.lag.Survey == 0 && n.changed {
		if err := n.survey(); err != nil {
			return err
		}
	}
	figures := n.figures(m.now)
	n.said.Sequence = figures.Sequence
	if figures == n.said {
		return nil
	}
	n.said = figures
	m.tell(news{at: m.now.Add(n.lag.Delay), from: slices.Index(m.nodes, n), figures: &figures})
	return nil
}

// tell sends news to all arbiters. What takes equally long stays in order.
func (m *mesh) tell(n news) {
	at := len(m.news)
	for at > 0 && m.news[at-1].at.After(n.at) {
		at--
	}
	m.news = slices.Insert(m.news, at, n)
}

// advance lets time pass: hosts look and tell, and what was told arrives.
func (m *mesh) advance(to time.Time) error {
	for m.config.Lag != (Lag{}) && !m.next.After(to) {
		m.now = m.next
		m.next = m.now.Add(time.Hour)
		for _, n := range m.nodes {
			if err := n.tick(m); err != nil {
				return err
			}
			m.next = earlier(m.next, earlier(n.nextSurvey, n.nextPublish))
		}
	}
	m.now = to
	arrived := 0
	for ; arrived < len(m.news) && !m.news[arrived].at.After(to); arrived++ {
		if err := m.arrive(m.news[arrived]); err != nil {
			return err
		}
	}
	m.news = m.news[arrived:]
	for _, d := range m.deciders {
		if d.timer.IsZero() || d.timer.After(to) {
			continue
		}
		d.timer = time.Time{}
		if _, err := m.feed(0, d, arbiter.Tick{}); err != nil {
			return err
		}
	}
	return nil
}

// tick does what is due by now.
func (n *node) tick(m *mesh) error {
	if !n.nextSurvey.After(m.now) {
		n.nextSurvey = n.nextSurvey.Add(n.surveyPeriod())
		if n.due(m.now) {
			n.Pass(m.now)
			n.surveyed = m.now
			if err := n.survey(); err != nil {
				return err
			}
		}
		if n.lag.Publish == 0 {
			if err := n.publish(m); err != nil {
				return err
			}
		}
	}
	if n.lag.Publish == 0 {
		n.nextPublish = n.nextSurvey
		return nil
	}
	if !n.nextPublish.After(m.now) {
		n.nextPublish = n.nextPublish.Add(n.lag.Publish)
		return n.publish(m)
	}
	return nil
}

func (m *mesh) arrive(n news) error {
	if n.figures == nil {
		_, err := m.feed(0, m.deciders[n.arbiter], n.event)
		return err
	}
	m.nodes[n.from].known = *n.figures
	m.changedView()
	return nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

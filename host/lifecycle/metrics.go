package lifecycle

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
)

// metrics of loading. The modelmesh_* ones keep ModelMesh's names and units, milliseconds included, so that its
// dashboards work; where a meaning had to change, the help says so. None has a label per model.
type metrics struct {
	load, unload, sizing         prometheus.Histogram
	cacheMiss, queueDelay        prometheus.Histogram
	evictionAge, modelSize       prometheus.Histogram
	loadFailures, unloadFailures prometheus.Counter
	evictions                    prometheus.Counter
	stats                        atomic.Pointer[machine.Stats]
}

// millisecondBuckets, ageBuckets and sizeBuckets are ModelMesh's.
func millisecondBuckets() []float64 {
	return []float64{.5, 1, 2, 5, 10, 20, 50, 75, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 60000, 120000, 300000}
}

// ageBuckets go from 30 seconds to 90 days, in milliseconds.
func ageBuckets() []float64 {
	const hour, day = 60 * 60 * 1000, 24 * 60 * 60 * 1000
	return []float64{
		30_000, 60_000, 120_000, 300_000, 600_000, 1_800_000, hour, 2 * hour, 6 * hour, 12 * hour, day, 2 * day, 7 * day, 30 * day, 90 * day,
	}
}

// sizeBuckets go from 256 KiB to 64 GiB.
func sizeBuckets() []float64 { return prometheus.ExponentialBuckets(256<<10, 4, 10) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func newMetrics(registry prometheus.Registerer, ledger *modelcache.Ledger) (*metrics, error) {
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	ms := millisecondBuckets()
	m := &metrics{
		load:        histogram("modelmesh_loadmodel_milliseconds", "Time that the runtime took to load a model.", ms),
		unload:      histogram("modelmesh_unloadmodel_milliseconds", "Time that the runtime took to unload a model.", ms),
		sizing:      histogram("modelmesh_model_sizing_milliseconds", "Time to find the size of a model on storage, before its load.", ms),
		cacheMiss:   histogram("modelmesh_cache_miss_milliseconds", "Time that a request waited for its model, of those that got it.", ms),
		queueDelay:  histogram("modelmesh_loading_queue_delay_milliseconds", "Time that a model waited for its turn to be pulled and loaded.", ms),
		evictionAge: histogram("modelmesh_age_at_eviction_milliseconds", "Time since the last use of a copy that had to make room.", ageBuckets()),
		modelSize:   histogram("modelmesh_loaded_model_size_bytes", "Memory of a model when its load ended.", sizeBuckets()),

		loadFailures:   counter("modelmesh_loadmodel_failure", "Attempts to size, pull or load a model that failed."),
		unloadFailures: counter("modelmesh_unloadmodel_attempt_failure", "Attempts to unload a model that failed; each is tried again."),
		evictions:      counter("wasmesh_evictions_total", "Copies that had to make room for another."),
	}
	m.setStats(machine.Stats{})
	var errs []error
	for _, c := range []prometheus.Collector{
		m.load, m.unload, m.sizing, m.cacheMiss, m.queueDelay, m.evictionAge, m.modelSize,
		m.loadFailures, m.unloadFailures, m.evictions, newGauges(ledger, &m.stats),
	} {
		errs = append(errs, registry.Register(c))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("register lifecycle metrics: %w", err)
	}
	return m, nil
}

func (m *metrics) setStats(stats machine.Stats) { m.stats.Store(&stats) }

// gauges collects what there is at the moment of the scrape. All that concerns memory comes from one look at the ledger,
// so that used + reserved + draining <= capacity holds among the samples of one scrape.
type gauges struct {
	ledger *modelcache.Ledger
	stats  *atomic.Pointer[machine.Stats]
	gauges []gauge
}

type gauge struct {
	desc  *prometheus.Desc
	value func(moment) float64
}

// moment is what all gauges of one scrape are computed from.
type moment struct {
	now    time.Time
	memory modelcache.Stats
	models machine.Stats
}

// held is all memory that is not free.
func (m moment) held() float64 {
	return float64(m.memory.Used.Plus(m.memory.Reserved).Plus(m.memory.Draining)[modelcache.HostMemory])
}

func (m moment) capacity() float64 { return float64(m.memory.Capacity[modelcache.HostMemory]) }

func newGauges(ledger *modelcache.Ledger, stats *atomic.Pointer[machine.Stats]) *gauges {
	g := &gauges{ledger: ledger, stats: stats}
	add := func(name, help string, value func(moment) float64) {
		g.gauges = append(g.gauges, gauge{prometheus.NewDesc(name, help, nil, nil), value})
	}
	bytes := func(r modelcache.Resources) float64 { return float64(r[modelcache.HostMemory]) }
	add("modelmesh_instance_capacity_bytes", "Memory for models in the runtime.", moment.capacity)
	add("modelmesh_instance_used_bytes", "Memory taken by models loaded, being loaded and being unloaded.", moment.held)
	add("modelmesh_instance_used_bps", "The same, in hundredths of a percent of the capacity.", func(m moment) float64 {
		return 10_000 * m.held() / max(m.capacity(), 1)
	})
	add("modelmesh_instance_models_total", "Models loaded on this host.", func(m moment) float64 { return float64(m.models.Loaded) })
	add("modelmesh_instance_lru_seconds", "When the least recently used copy was used, in Unix seconds; 0 without copies.", func(m moment) float64 {
		if m.memory.Oldest.IsZero() {
			return 0
		}
		return float64(m.memory.Oldest.Unix())
	})
	add("modelmesh_instance_lru_age_seconds", "Time since the least recently used copy was used.", func(m moment) float64 {
		if m.memory.Oldest.IsZero() {
			return 0
		}
		return max(m.now.Sub(m.memory.Oldest).Seconds(), 0)
	})
	add("modelmesh_models_loaded_total", "Models loaded, as this host knows.", func(m moment) float64 { return float64(m.models.Loaded) })
	add("modelmesh_models_with_failure_total", "Models that failed to load, as this host knows.", func(m moment) float64 { return float64(m.models.Failed) })
	add("modelmesh_models_managed_total", "Models of the catalog that this host may load.", func(m moment) float64 { return float64(m.models.Managed) })

	add("wasmesh_ledger_capacity_bytes", "Memory for models in the runtime.", moment.capacity)
	add("wasmesh_ledger_used_bytes", "Memory of copies that take requests.", func(m moment) float64 { return bytes(m.memory.Used) })
	add("wasmesh_ledger_reserved_bytes", "Memory set aside for models being loaded.", func(m moment) float64 { return bytes(m.memory.Reserved) })
	add("wasmesh_ledger_draining_bytes", "Memory of copies being unloaded.", func(m moment) float64 { return bytes(m.memory.Draining) })
	add("wasmesh_loads_queued", "Models that wait for their turn or for memory.", func(m moment) float64 { return float64(m.models.Queued) })
	add("wasmesh_loads_running", "Models being sized, pulled or loaded.", func(m moment) float64 { return float64(m.models.Running) })
	return g
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, gauge := range g.gauges {
		ch <- gauge.desc
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	m := moment{now: time.Now(), memory: g.ledger.Stats(), models: *g.stats.Load()}
	for _, gauge := range g.gauges {
		ch <- prometheus.MustNewConstMetric(gauge.desc, prometheus.GaugeValue, gauge.value(m))
	}
}

package scenario

import "fmt"

// Check looks for names that are given twice or to nobody.
func (s *Scenario) Check() error {
	hosts, models := map[string]bool{}, map[string]bool{}
	for i := range s.Hosts {
		h := &s.Hosts[i]
		if hosts[h.Name] {
			return fmt.Errorf("host %s twice", h.Name)
		}
		if h.Capacity <= 0 && !h.Gateway {
			return fmt.Errorf("host %s needs a capacity, as in capacity=512MiB", h.Name)
		}
		hosts[h.Name] = true
	}
	for i := range s.Models {
		m := &s.Models[i]
		if models[m.Name] {
			return fmt.Errorf("model %s twice", m.Name)
		}
		if m.Bytes <= 0 {
			return fmt.Errorf("model %s needs a size, as in size=12MiB", m.Name)
		}
		models[m.Name] = true
	}
	for i := range s.Steps {
		if err := s.Steps[i].check(hosts, models); err != nil {
			return fmt.Errorf("at %v: %s: %w", s.Steps[i].At, s.Steps[i].Verb, err)
		}
	}
	return nil
}

func (s *Step) check(hosts, models map[string]bool) error {
	subjects, model, _ := s.shape()
	if model && !models[s.Model] {
		return fmt.Errorf("there is no model %q", s.Model)
	}
	// Where a host narrows something down, "*" is all or any.
	if s.Host != "" && s.Host != "*" && !hosts[s.Host] || subjects == 1 && (s.Host == "" || s.Host == "*") {
		return fmt.Errorf("there is no host %q", s.Host)
	}
	for _, name := range s.Hosts {
		if !hosts[name] {
			return fmt.Errorf("there is no host %q", name)
		}
	}
	return nil
}

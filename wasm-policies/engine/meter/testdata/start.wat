;; A start function that never ends. Built with: wat2wasm start.wat (wabt 1.0.39)
(module
  (func $forever
    loop
      br 0
    end)
  (start $forever))

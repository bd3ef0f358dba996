"""What crosses a process boundary: values, states, errors, and the interfaces between services."""

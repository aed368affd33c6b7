"""The interfaces of other libraries, answered by gpurec: implicit, RecTools, and arrays of factors."""

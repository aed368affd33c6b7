// Included before anything else where kernels are compiled for tracing: copies that the compiler asks the C library for,
// those of structs among them, are asked of the tracer, which marks what they read and write.
#pragma once

extern "C" {
void* memcpy(void*, const void*, __SIZE_TYPE__) noexcept __asm__("gpurec_traced_memcpy");
void* memmove(void*, const void*, __SIZE_TYPE__) noexcept __asm__("gpurec_traced_memmove");
void* memset(void*, int, __SIZE_TYPE__) noexcept __asm__("gpurec_traced_memset");
}

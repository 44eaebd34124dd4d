// The MXFP8 rule: E4M3 codes, one E8M0 scale a block of 32 (OCP Microscaling Formats v1.0, §5.3.1 and §5.4.1), rounded as FlashInfer's
// mxfp8_quantize rounds. Plain arithmetic without a device instruction, so that a host compiler takes it too.
#pragma once

constexpr int kMxBlock = 32;

/// The scale byte of a block whose largest magnitude has these float32 bits: ceil(log2(amax / 448)) + 127, never below 0; for infinity the
/// largest scale that is a number. 448 is 1.75 · 2^8, so the quotient's exponent is that of amax less 8, and rounds up above 1.75.
__device__ __forceinline__ unsigned mxfp8_scale(unsigned amax)
{
    const unsigned exponent = amax >> 23, up = (amax & 0x7fffffu) > 0x600000u;
    return exponent == 255 ? 254 : exponent + up > 8 ? exponent + up - 8 : 0;
}

/// What a block's values are multiplied by: 2^(127 − scale), exact. Byte 0, which a block of zeros has, stands for values so small that
/// they all become 0: FlashInfer's kernels flush them.
__device__ __forceinline__ float mxfp8_multiplier(unsigned scale)
{
    return __uint_as_float(scale == 0 ? 0 : scale == 254 ? 0x00400000u : (254 - scale) << 23);
}

/// E4M3 of a value, rounded to nearest even, saturated at ±448 (infinities too); NaN becomes 0x7f. What cvt.rn.satfinite.e4m3x2.f32 does.
__device__ __forceinline__ unsigned e4m3_from_float(float value)
{
    const unsigned bits = __float_as_uint(value), magnitude = bits & 0x7fffffffu, sign = bits >> 24 & 0x80u;
    if (magnitude > 0x7f800000u)
    {
        return 0x7f;
    }

    if (magnitude >= 0x43e00000u)
    {
        return sign | 0x7e;
    }

    // Below 2^−6 codes are multiples of 2^−9: 2^14 + value rounds to such. Above, the mantissa loses 20 bits and the exponent 120 of its bias.
    const unsigned code = magnitude < 0x3c800000u
        ? __float_as_uint(__uint_as_float(magnitude) + 16384.0f) - 0x46800000u
        : ((magnitude + 0x7ffffu + (magnitude >> 20 & 1)) >> 20) - (120 << 3);
    return sign | code;
}

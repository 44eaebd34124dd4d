namespace Moe.Plugins.GptOss.Cuda;

/// <summary>A matrix on the device: BF16 [outputs, inputs] and, where it has one, a float32 bias [outputs].</summary>
internal readonly record struct DeviceLinear(nint Weight, nint Bias, int Outputs, int Inputs);

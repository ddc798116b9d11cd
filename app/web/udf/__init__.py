"""TradingView's UDF (Universal Data Feed): bars for their charting library and for other clients of that protocol."""
